"""What an exported model says about itself, in the file and in the manifest beside it.

One record serves both: the ONNX file carries it as JSON under the metadata key :data:`KEY`, and the
manifest (``model.onnx.json``) repeats it with the file's SHA-256 and the measured parity.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from granet.errors import UserError
from granet.size_rule import SizeRule
from runtime.media.frame import Colour

KEY = "granet"
FORMAT = 1

Layout = Literal["frames", "tensor"]


@dataclass(frozen=True)
class ModelMetadata:
    """An exported GraNet.

    Attributes:
        config: the :class:`granet.GraNetConfig` as a dictionary.
        checkpoint: file name of the checkpoint.
        checkpoint_sha256: its hash, hexadecimal.
        precision: ``fp32``, ``fp16``, ``int8`` or ``fp8``.
        layout: ``frames`` (uint8 N x H x W x 3) or ``tensor`` (float N x 3 x H x W, RGB, [0, 1]).
        colour: channel order of the frames; ``rgb`` for tensors.
        multiple: size rule, see :class:`granet.size_rule.SizeRule`.
        extent: size rule; ``None`` for the paper's literal grid.
        height: pixels of a static graph, ``None`` if dynamic.
        width: pixels of a static graph, ``None`` if dynamic.
        batch: frames of a static graph, ``None`` if dynamic.
        outputs: output names; the first is the rain-free image.
        versions: package name -> version that made the file.
        weights: facts about the training that the checkpoint carried.
        quantisation: how it was quantised: target, hashes of the float32 model and of the calibration
            table, layers that were kept; empty if it was not.
        format: version of this record.

    Raises:
        ValueError: if a value is not of the kind above; the file it came from may be anyone's.
    """

    config: dict[str, Any]
    checkpoint: str
    checkpoint_sha256: str
    precision: str
    layout: Layout
    colour: Colour
    multiple: int
    extent: int | None
    height: int | None
    width: int | None
    batch: int | None
    outputs: list[str]
    versions: dict[str, str]
    weights: dict[str, Any] = field(default_factory=dict)
    quantisation: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        for name in ("checkpoint", "checkpoint_sha256", "precision"):
            _require(isinstance(getattr(self, name), str), name, getattr(self, name))
        for name in ("config", "versions", "weights", "quantisation"):
            _require(isinstance(getattr(self, name), dict), name, getattr(self, name))
        for name in ("extent", "height", "width", "batch"):
            value = getattr(self, name)
            _require(value is None or _is_positive(value), name, value)
        _require(_is_positive(self.multiple), "multiple", self.multiple)
        _require(self.extent is None or self.extent % self.multiple == 0, "extent", self.extent)
        _require(self.layout in ("frames", "tensor"), "layout", self.layout)
        _require(self.colour in ("bgr", "rgb"), "colour", self.colour)
        names = isinstance(self.outputs, list) and all(isinstance(name, str) for name in self.outputs)
        _require(names and len(self.outputs) > 0, "outputs", self.outputs)

    @property
    def size_rule(self) -> SizeRule:
        """The padding rule of the network in the file."""
        return SizeRule(self.multiple, self.extent)

    def to_json(self) -> str:
        """Compact JSON with sorted keys: the same record gives the same bytes."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, source: str) -> "ModelMetadata":
        """Reads what :meth:`to_json` wrote; ``source`` names the file in errors.

        Raises:
            UserError: if it is damaged or of a format that this version does not know.
        """
        try:
            values = json.loads(text)
            if values.get("format") != FORMAT:
                raise UserError(
                    f"{source}: its metadata has format {values.get('format')!r}, this version reads "
                    f"{FORMAT}: export it again with this version, or install the one that made it"
                )
            known = {item.name for item in fields(cls)}
            return cls(**{name: value for name, value in values.items() if name in known})
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{source}: its granet metadata is damaged ({error}): export it again") from error


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _require(condition: bool, name: str, value: object) -> None:
    if not condition:
        raise ValueError(f"{name} is {value!r:.60}")
