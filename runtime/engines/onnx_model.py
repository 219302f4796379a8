"""Checks and layout conversions shared by all engines that run an exported ONNX file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from granet.errors import UserError
from runtime.artefacts.artefact import read_model
from runtime.artefacts.metadata import ModelMetadata
from runtime.engines.base import EngineInfo
from runtime.engines.fitting import FrameFit
from runtime.media.frame import Colour, Pixels

MASK = "mask"
"""Name of the rain mask among the outputs of a model exported with ``--stages``."""


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file made by granet-export, checked against its manifest.

    Attributes:
        path: the file.
        metadata: its metadata.
        content: its bytes, exactly those that were checked; a backend loads them, not the file. Empty for
            an engine of TensorRT.
    """

    path: Path
    metadata: ModelMetadata
    content: bytes = field(default=b"", repr=False)

    @classmethod
    def open(cls, path: Path) -> "OnnxModel":
        """Checks ``path`` against the manifest beside it, if there is one, and reads its metadata.

        Raises:
            UserError: if it cannot be read, was not made by granet-export, or was changed after its
                manifest was written.
        """
        model = read_model(path)
        return cls(path, model.metadata, model.content)

    @property
    def colour(self) -> Colour:
        """Channel order of the frames; tensors are always RGB."""
        return self.metadata.colour if self.metadata.layout == "frames" else "rgb"

    @property
    def output(self) -> str:
        """Name of the rain-free image among the graph's outputs."""
        return self.metadata.outputs[0]

    @property
    def has_mask(self) -> bool:
        """Whether :data:`MASK` is among the graph's outputs."""
        return MASK in self.metadata.outputs

    def outputs(self, want_mask: bool) -> list[str]:
        """Names of the graph's outputs to compute, the rain-free image first."""
        return [self.output, MASK] if want_mask else [self.output]

    def info(
        self, backend: str, version: str, device: str, note: str = "", *, has_mask: bool = False
    ) -> EngineInfo:
        """Facts about the engine; the description has ``note`` in parentheses after the device."""
        meta = self.metadata
        fit = FrameFit(meta.size_rule, meta.height, meta.width, meta.batch)
        where = f"{device} ({note})" if note else device
        what = f"{self.path.name}, {meta.precision}, {fit}, {self.colour}"
        if meta.layout == "tensor":
            what += ", frames converted to tensors on the host"
        description = f"{backend} {version} on {where}: {what}"
        return EngineInfo(
            backend, device, self.path.name, meta.precision, self.colour, fit, description, has_mask
        )

    def check_graph(self, dtype: DTypeLike, shape: Sequence[int | None], outputs: Sequence[str]) -> None:
        """Checks the graph that a backend loaded against the metadata.

        Args:
            dtype: dtype of its first input.
            shape: shape of its first input; ``None`` for a dynamic dimension.
            outputs: names of its outputs.

        Raises:
            UserError: if they disagree, because the file was assembled or edited elsewhere.
        """
        meta = self.metadata
        sides = (meta.height, meta.width)
        frames = meta.layout == "frames"
        expected = (meta.batch, *sides, 3) if frames else (meta.batch, 3, *sides)
        kinds = (np.uint8,) if frames else (np.float32, np.float16)
        if tuple(shape) != expected or np.dtype(dtype) not in kinds or self.output not in outputs:
            raise UserError(
                f"{self.path}: the graph ({np.dtype(dtype)} {_shape(shape)}) does not match its metadata "
                f"({meta.layout} {_shape(expected)}): export it again"
            )

    def failure(self, doing: str, error: Exception) -> UserError:
        """Reduces a backend's error, often of many lines, to one line."""
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[-1] if lines else type(error).__name__
        reason = re.split(r"Status Message: |\[ONNXRuntimeError\] : \d+ : \w+ : ", reason)[-1]
        shortened = reason if len(reason) <= 200 else f"...{reason[-200:]}"
        return UserError(f"{self.path}: {doing} failed: {shortened}")

    def to_input(self, batch: Pixels, dtype: DTypeLike) -> NDArray[Any]:
        """uint8 n x h x w x 3 -> the graph's input: the same array, or n x 3 x h x w in [0, 1], ``dtype``."""
        if self.metadata.layout == "frames":
            return batch
        image = batch.transpose(0, 3, 1, 2) / np.float32(255)
        return np.ascontiguousarray(image, dtype)

    def to_frames(self, output: NDArray[Any], batch: Pixels) -> Pixels:
        """The graph's output for ``batch`` -> uint8 n x h x w x 3, levels rounded half to even.

        Raises:
            UserError: if its shape or dtype differ from those of ``batch``.
        """
        frames = output
        if self.metadata.layout == "tensor" and output.ndim == 4:
            levels = np.rint(np.clip(output.astype(np.float32), 0, 1) * np.float32(255))
            frames = np.ascontiguousarray(levels.transpose(0, 2, 3, 1).astype(np.uint8))
        if frames.shape != batch.shape or frames.dtype != np.uint8:
            raise UserError(
                f"{self.path}: the graph returned {output.dtype} {output.shape} for frames {batch.shape}: "
                "export it again"
            )
        return frames


def _shape(shape: Sequence[int | None]) -> str:
    return "x".join("?" if side is None else str(side) for side in shape)
