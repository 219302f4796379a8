"""This project's engines inside Triton's Python back end: the server's side of ``grpc://HOST:PORT/MODEL``.

``granet-export triton --via python`` writes a ``model.py`` that imports :class:`TritonPythonModel`. Triton
calls its methods from one thread of a process of its own.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from granet.errors import UserError
from runtime.artefacts.served import INPUT, PARAMETER, ServedModel
from runtime.engines.base import Engine
from runtime.engines.onnx_model import MASK
from runtime.media.frame import Pixels
from runtime.open import open_engine

FILE_PARAMETER = "granet_model"
"""Parameter of ``config.pbtxt``: name of the model's file in a version's directory."""


class TritonPythonModel:
    """One instance of a model in Triton."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Opens the model.

        Args:
            args: Triton's arguments: the configuration as JSON, the repository, the version.

        Raises:
            TritonModelException: if the model cannot run here; Triton logs the message.
        """
        import triton_python_backend_utils as backend

        self._backend = backend
        parameters = json.loads(args["model_config"])["parameters"]
        file = parameters[FILE_PARAMETER]["string_value"]
        path = Path(args["model_repository"]) / args["model_version"] / file
        try:
            served = ServedModel.from_json(parameters[PARAMETER]["string_value"], str(path))
            self._engine: Engine = open_engine(path, colour=served.colour)
        except UserError as error:
            raise backend.TritonModelException(str(error)) from error
        self._output = served.outputs[0]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Computes the requests that Triton put into one batch.

        Args:
            requests: each has an input of uint8 n x h x w x 3.

        Returns:
            A response for each, in order.
        """
        frames = [self._backend.get_input_tensor_by_name(each, INPUT).as_numpy() for each in requests]
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for index, (each, batch) in enumerate(zip(requests, frames, strict=True)):
            groups[(*batch.shape[1:], MASK in each.requested_output_names())].append(index)
        responses: list[Any] = [None] * len(requests)
        for (*_, want_mask), members in groups.items():
            batches = [frames[index] for index in members]
            for index, response in zip(members, self._responses(batches, want_mask), strict=True):
                responses[index] = response
        return responses

    def _responses(self, batches: Sequence[Pixels], want_mask: bool) -> list[Any]:
        try:
            result = self._engine.derain(np.concatenate(batches), want_mask)
        except Exception as error:  # noqa: BLE001 - the instance must survive; the client gets the message
            failure = self._backend.TritonError(f"{type(error).__name__}: {error}")
            return [self._backend.InferenceResponse(error=failure) for _ in batches]
        pictures = {self._output: result.frames} | ({} if result.mask is None else {MASK: result.mask})
        ends = np.cumsum([len(batch) for batch in batches])[:-1]
        parts = {name: np.split(picture, ends) for name, picture in pictures.items()}
        return [
            self._backend.InferenceResponse(
                output_tensors=[
                    self._backend.Tensor(name, np.ascontiguousarray(part[index]))
                    for name, part in parts.items()
                ]
            )
            for index in range(len(batches))
        ]

    def finalize(self) -> None:
        """Closes the model."""
        self._engine.close()
