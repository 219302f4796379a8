"""The metadata of an exported model.

The ONNX file contains it as JSON under the metadata key :data:`KEY`; the manifest (``model.onnx.json``)
repeats it with the file's SHA-256 and the measured parity.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from granet.app.outside_text import shown_values
from granet.app.schema import JsonFile, PositiveInt
from granet.size_rule import SizeRule
from runtime.media.frame import Colour

KEY = "granet"
FORMAT = 1

Layout = Literal["frames", "tensor"]
Precision = Literal["fp32", "fp16", "int8", "fp8"]
"""Precision of a model or an engine."""

MAP = "map"
"""The fact about weights that names each ``--map`` with which they were read."""


@dataclass(frozen=True)
class ModelMetadata:
    """Facts about an exported GraNet.

    Attributes:
        config: the :class:`granet.GraNetConfig` as a dictionary.
        checkpoint: file name of the checkpoint.
        checkpoint_sha256: SHA-256 of the checkpoint, hexadecimal.
        precision: precision of the network in the file.
        layout: ``frames`` (uint8 N x H x W x 3) or ``tensor`` (float N x 3 x H x W, RGB, [0, 1]).
        colour: channel order of the frames; ``rgb`` for tensors.
        multiple: multiple of the size rule, see :class:`granet.size_rule.SizeRule`.
        extent: extent of the size rule; ``None`` for the paper's literal grid.
        height: height of a static graph in pixels, ``None`` if dynamic.
        width: width of a static graph in pixels, ``None`` if dynamic.
        batch: batch size of a static graph, ``None`` if dynamic.
        outputs: output names; the first is the rain-free image.
        versions: package name -> version used for the export.
        weights: facts about the training, from the checkpoint, and each ``--map`` (:data:`MAP`).
        quantisation: target, hashes of the float32 model and of the calibration table, kept layers, ...;
            empty if the model is not quantised.
        format: version of this metadata format.

    Raises:
        ValueError: if ``extent`` is not a multiple of ``multiple``, or the format is unknown.
    """

    config: dict[str, Any]
    checkpoint: str
    checkpoint_sha256: str
    precision: Precision
    layout: Layout
    colour: Colour
    multiple: PositiveInt
    extent: PositiveInt | None
    height: PositiveInt | None
    width: PositiveInt | None
    batch: PositiveInt | None
    outputs: Annotated[list[str], Meta(min_length=1)]
    versions: dict[str, str]
    weights: dict[str, Any] = field(default_factory=dict)
    quantisation: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"format {self.format}, this version reads {FORMAT}")
        if self.extent is not None and self.extent % self.multiple:
            raise ValueError(f"extent: expected a multiple of {self.multiple}, got {self.extent}")

    @property
    def size_rule(self) -> SizeRule:
        """The padding rule of the network in the file."""
        return SizeRule(self.multiple, self.extent)

    def to_json(self) -> str:
        """Compact JSON with sorted keys: equal metadata give equal bytes."""
        return json.dumps(shown_values(asdict(self)), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: bytes | str, source: str) -> "ModelMetadata":
        """Reads what :meth:`to_json` wrote; ``source`` names the file in errors.

        Raises:
            UserError: if it is damaged or has an unknown format.
        """
        return METADATA.decode(text, source)


METADATA = JsonFile(ModelMetadata, "metadata record", "export it again", FORMAT)
"""The JSON inside an exported model."""
