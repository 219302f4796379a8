"""The description of our model on a server: enough to send it frames of the right size and colour.

``granet-export triton`` writes it into the parameters of ``config.pbtxt``, under :data:`PARAMETER`. It omits
facts that may differ between two versions of a model (checkpoint, hashes, training), because all versions
share one ``config.pbtxt``.
"""

from dataclasses import dataclass, fields
from typing import Annotated

from msgspec import Meta

from granet.app.schema import JsonFile, PositiveInt, to_json
from granet.size_rule import SizeRule
from runtime.artefacts.metadata import ModelMetadata, Precision
from runtime.media.frame import Colour

PARAMETER = "granet"
INPUT = "rainy"
FORMAT = 1


@dataclass(frozen=True)
class ServedModel:
    """A model on a server; see :class:`ModelMetadata` for the fields, which have the same names.

    Raises:
        ValueError: if ``extent`` is not a multiple of ``multiple``.
    """

    precision: Precision
    colour: Colour
    multiple: PositiveInt
    extent: PositiveInt | None
    height: PositiveInt | None
    width: PositiveInt | None
    batch: PositiveInt | None
    outputs: Annotated[list[str], Meta(min_length=1)]
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.extent is not None and self.extent % self.multiple:
            raise ValueError(f"extent: expected a multiple of {self.multiple}, got {self.extent}")

    @classmethod
    def of(cls, metadata: ModelMetadata) -> "ServedModel":
        """The part of a model's metadata that its clients need."""
        names = [field.name for field in fields(cls) if field.name != "format"]
        return cls(**{name: getattr(metadata, name) for name in names})

    @property
    def size_rule(self) -> SizeRule:
        """The padding rule of the network."""
        return SizeRule(self.multiple, self.extent)

    def to_json(self) -> str:
        """One line; equal values give equal text."""
        return to_json(_FILE.values(self))

    @classmethod
    def from_json(cls, text: str, source: str) -> "ServedModel":
        """Reads what :meth:`to_json` wrote; ``source`` names the server in errors.

        Raises:
            UserError: if it is damaged or has an unknown format.
        """
        return _FILE.decode(text, source)


_FILE = JsonFile(
    ServedModel, "model's description", "export it for the server again: granet-export triton", FORMAT
)
