"""One model on a server, over gRPC: what it is, and one call for a batch of frames.

tritonclient's errors become this project's: :class:`EngineAwayError` where the same call may work later.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as grpc_client
from tritonclient.utils import InferenceServerException

from granet.errors import UserError
from runtime.artefacts.manifest import read_manifest
from runtime.artefacts.served import INPUT, PARAMETER, ServedModel
from runtime.engines.base import EngineAwayError
from runtime.engines.remote.address import ServerAddress
from runtime.engines.remote.shared_memory import ASK, Region, Regions
from runtime.media.frame import Pixels

_CHANNEL = [
    ("grpc.max_send_message_length", 2**31 - 1),
    # By default gRPC itself waits up to two minutes before it tries a server again.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # One channel for each engine, also where two engines have one address.
    ("grpc.use_local_subchannel_pool", 1),
]

_DROPPED = ("request timeout expired", "exceeds maximum queue size")
"""Parts of Triton's answers for a frame that waited too long in its queue."""

_NO_REGION = ("unable to find shared memory region", "unable to find system shared memory region")
"""Triton's words for a region that it does not know: it has started anew."""

_DESCRIBED = 2**20
"""Maximum size in bytes of an answer without its pictures."""

_TOO_LARGE = "message larger than max"
"""gRPC's words for an answer beyond the limit of its channel, whose status is that of a busy server."""

_LATER = ("StatusCode.UNAVAILABLE", "StatusCode.RESOURCE_EXHAUSTED", "StatusCode.CANCELLED")


class FrameDroppedError(EngineAwayError):
    """The server works, but has dropped this frame because its queue was too long."""


class LateError(EngineAwayError):
    """The server did not answer before the deadline."""


@dataclass(frozen=True)
class Description:
    """A model on a server.

    Attributes:
        model: the model's description.
        most: most frames of one call; ``None`` if the model has a fixed batch.
        server: name of the server's software, with its version.
        version: newest version of the model that is served; empty if the server names none.
    """

    model: ServedModel
    most: int | None
    server: str
    version: str


class ModelClient:
    """A connection to a model; any thread may call it.

    Args:
        address: address of the model. The connection is opened when it is needed, and again after a loss.

    Raises:
        UserError: if the manifest in the address cannot be read.
    """

    def __init__(self, address: ServerAddress) -> None:
        self._address = address
        self._manifest = None if address.manifest is None else read_manifest(address.manifest)
        self._client = self._connected(_DESCRIBED)  # for questions, and for pictures in shared memory
        self._clients = {_DESCRIBED: self._client}
        self._lock, self._closed = threading.Lock(), False
        self._regions = Regions(self._client) if address.shared_memory else None

    def describe(self, seconds: float) -> Description:
        """Asks the server for the model.

        Args:
            seconds: deadline of each question.

        Raises:
            EngineAwayError: if the server does not answer, or the model is not loaded.
            UserError: if it has no such model, or the model is not one of ours.
        """
        name = self._address.model
        try:
            server = self._client.get_server_metadata(client_timeout=seconds)
            metadata = self._client.get_model_metadata(name, client_timeout=seconds)
            ready = self._client.is_model_ready(name, client_timeout=seconds)
            config = None if self._manifest is not None else self._config(seconds)
        except (InferenceServerException, ValueError) as error:
            raise failure_of(error, self._address, seconds) from error
        if not ready:
            raise EngineAwayError(f"{self._address}: the model is not ready")
        model, most = self._served(config)
        self._check_interface(metadata, model)
        newest = max(metadata.versions, key=lambda text: (len(text), text), default="")
        return Description(model, most, f"{server.name} {server.version}".strip(), newest)

    def infer(self, frames: Pixels, outputs: Sequence[str], seconds: float) -> tuple[Pixels, ...]:
        """Sends a batch of frames.

        Args:
            frames: uint8 n x h x w x 3, C-contiguous.
            outputs: names of the outputs.
            seconds: deadline. A server with a queue policy drops the frames if they wait longer.

        Returns:
            The outputs, new arrays of the shape of ``frames``.

        Raises:
            EngineAwayError: if the server does not answer in time, or drops the frames.
            UserError: if it refuses them, or returns something else.
        """
        if self._regions is not None:
            return self._infer_shared(self._regions, frames, outputs, seconds)
        source = grpc_client.InferInput(INPUT, list(frames.shape), "UINT8")
        source.set_data_from_numpy(frames)
        wanted = [grpc_client.InferRequestedOutput(name) for name in outputs]
        try:
            client = self._client_for(frames.nbytes * len(outputs))
            result = self._called(client, source, wanted, seconds)
            pictures = [self._as_array(result, name) for name in outputs]
        except (InferenceServerException, ValueError) as error:
            raise failure_of(error, self._address, seconds) from error
        # The message's bytes are read-only.
        return tuple(np.array(self._checked(picture, frames)) for picture in pictures)

    def close(self) -> None:
        """Closes the connection; calls in progress fail."""
        if self._regions is not None:
            self._regions.close()
        with self._lock:
            self._closed = True
            for client in self._clients.values():
                client.close()

    def _connected(self, most: int) -> Any:
        """A client that takes answers of up to ``most`` bytes; gRPC has one limit for each channel."""
        limit = ("grpc.max_receive_message_length", most)
        return grpc_client.InferenceServerClient(
            self._address.host, ssl=self._address.secure, channel_args=[*_CHANNEL, limit]
        )

    def _client_for(self, size: int) -> Any:
        """The client for answers with ``size`` bytes of pictures; it takes less than twice as many."""
        most = 1 << (size + _DESCRIBED - 1).bit_length()
        with self._lock:
            if self._closed:
                raise ValueError("the connection was closed")
            if most not in self._clients:
                self._clients[most] = self._connected(most)
            return self._clients[most]

    def _called(self, client: Any, source: Any, wanted: list[Any], seconds: float) -> Any:
        return client.infer(
            self._address.model,
            [source],
            outputs=wanted,
            timeout=int(seconds * 1e6),
            client_timeout=seconds,
        )

    def _infer_shared(
        self, regions: Regions, frames: Pixels, outputs: Sequence[str], seconds: float
    ) -> tuple[Pixels, ...]:
        source = grpc_client.InferInput(INPUT, list(frames.shape), "UINT8")
        wanted = [grpc_client.InferRequestedOutput(name) for name in outputs]
        region = self._region(regions, frames.nbytes * (1 + len(outputs)))
        try:
            region.write(frames)
            source.set_shared_memory(region.name, frames.nbytes)
            for place, output in enumerate(wanted, 1):
                output.set_shared_memory(region.name, frames.nbytes, place * frames.nbytes)
            result = self._called(self._client, source, wanted, seconds)
            for name in outputs:
                self._check_described(result.get_output(name), frames)
            pictures = tuple(region.read(place, frames.shape) for place in range(len(outputs)))
        except (InferenceServerException, ValueError) as error:
            regions.retire(region)
            if any(sign in str(error).lower() for sign in _NO_REGION):
                regions.forget()
                raise EngineAwayError(f"{self._address}: the server has started again") from error
            raise failure_of(error, self._address, seconds) from error
        except BaseException:
            regions.retire(region)
            raise
        regions.give_back(region)
        return pictures

    def _region(self, regions: Regions, size: int) -> Region:
        try:
            return regions.take(size)
        except (InferenceServerException, ValueError) as error:
            failure = failure_of(error, self._address, ASK)
            if isinstance(failure, EngineAwayError):
                raise failure from error
            raise UserError(
                f"{self._address}: the server cannot open shared memory of this machine: let its container "
                f"share it (docker run --ipc=host), or leave out ?shared-memory ({_shortened(str(error))})"
            ) from error

    def _check_described(self, output: Any, frames: Pixels) -> None:
        """Checks what the server says of an output that lies in shared memory."""
        if output is None or tuple(output.shape) != frames.shape or output.datatype != "UINT8":
            what = "nothing" if output is None else f"{output.datatype} {tuple(output.shape)}"
            raise UserError(f"{self._address}: the server returned {what} for frames {frames.shape}")

    def _config(self, seconds: float) -> Any:
        """The model's configuration; ``None`` from a server that is not Triton."""
        try:
            return self._client.get_model_config(self._address.model, client_timeout=seconds).config
        except InferenceServerException as error:
            if error.status() == "StatusCode.UNIMPLEMENTED":
                return None
            raise

    def _served(self, config: Any) -> tuple[ServedModel, int | None]:
        """The model's description, and the maximum number of frames of one call."""
        if self._manifest is not None:
            metadata = self._manifest.metadata
            if metadata.layout != "frames":
                raise UserError(f"{self._address}: the model takes tensors: export it with --layout frames")
            # Only Triton states a limit, so the frames of a batch go one by one.
            return ServedModel.of(metadata), None if metadata.batch is not None else 1
        if config is None:
            raise UserError(
                f"{self._address}: this server does not say what the model is: copy the model's manifest "
                "here and add ?manifest=FILE to the address"
            )
        if PARAMETER not in config.parameters:
            raise UserError(
                f"{self._address}: this model was not made by granet-export: export yours for the server: "
                "granet-export triton"
            )
        model = ServedModel.from_json(config.parameters[PARAMETER].string_value, str(self._address))
        return model, config.max_batch_size or None

    def _check_interface(self, metadata: Any, model: ServedModel) -> None:
        """Checks the inputs and outputs that the server states against the model's description."""
        found = {tensor.name: (tensor.datatype, list(tensor.shape)) for tensor in metadata.inputs}
        outputs = {tensor.name for tensor in metadata.outputs}
        datatype, shape = found.get(INPUT, ("", []))
        fixed = [model.batch, model.height, model.width, 3]
        fits = len(shape) == 4 and all(
            actual in (-1, side) or side is None for actual, side in zip(shape, fixed, strict=True)
        )
        if len(found) != 1 or datatype != "UINT8" or not fits or not outputs.issuperset(model.outputs):
            raise UserError(
                f"{self._address}: the inputs and outputs of the server's model differ from its description: "
                "export it for the server again: granet-export triton"
            )

    def _as_array(self, result: Any, name: str) -> Any:
        try:
            return result.as_numpy(name)
        except ValueError as error:
            raise UserError(f"{self._address}: the answer has fewer bytes than it says") from error

    def _checked(self, output: Any, frames: Pixels) -> Any:
        if output is None or output.shape != frames.shape or output.dtype != np.uint8:
            what = "nothing" if output is None else f"{output.dtype} {output.shape}"
            raise UserError(f"{self._address}: the server returned {what} for frames {frames.shape}")
        return output


def failure_of(error: Exception, address: ServerAddress, seconds: float) -> UserError:
    """One line for an error of tritonclient, or for a call on a closed connection.

    Args:
        error: raised by a call.
        address: address of the model.
        seconds: deadline of the call.
    """
    if not isinstance(error, InferenceServerException):
        return UserError(f"{address}: the connection was closed")
    status, reason = str(error.status()), " ".join(str(error.message()).split())
    if any(sign in reason.lower() for sign in _DROPPED):
        return FrameDroppedError(f"{address}: the server dropped the frame: {reason}")
    if _TOO_LARGE in reason.lower():
        return UserError(f"{address}: the server's answer is too large")
    if status == "StatusCode.DEADLINE_EXCEEDED":
        return LateError(f"{address}: no answer within {seconds:.3g} s")
    if status in _LATER:
        return EngineAwayError(f"{address}: the server is away: {_shortened(reason)}")
    if status == "StatusCode.NOT_FOUND":
        return UserError(f"{address}: the server has no model {address.model!r}")
    return UserError(f"{address}: the server failed: {_shortened(reason) or 'it gave no reason'}")


def _shortened(reason: str) -> str:
    return reason if len(reason) <= 200 else f"{reason[:199]}…"
