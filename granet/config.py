"""What distinguishes one GraNet from another: widths, region size, and the ablations of table 2."""

from dataclasses import dataclass, fields, replace
from typing import Any

from granet.errors import UserError
from granet.size_rule import SizeRule

POOLING_LEVELS = 3
"""Max-poolings of the coarse stage (three layers of local feature extraction, section 3.2)."""

MAX_WIDTH = 1024
"""Most channels of a layer: beyond any use of this network, and small enough that a configuration
out of a damaged or hostile file cannot ask for more memory than there is."""

MAX_DEPTH = 64
"""Most layers of a dense block, and most dense blocks of the fine stage."""

_LARGEST = {
    "channels": MAX_WIDTH,
    "growth": MAX_WIDTH,
    "dense_layers": MAX_DEPTH,
    "nonlocal_channels": MAX_WIDTH,
    "fine_blocks": MAX_DEPTH,
    "key_stride": 64,
}


@dataclass(frozen=True)
class GraNetConfig:
    """Configuration of a :class:`granet.GraNet`; a checkpoint carries it.

    The paper gives the structure but not the widths; the defaults follow NLEDN (Li et al., 2018),
    whose settings the paper adopts (sections 4.1 and 4.3).

    Attributes:
        channels: width C of the feature maps.
        growth: channels that each layer of a dense block adds.
        dense_layers: 3x3 convolutions of a dense block.
        nonlocal_channels: inner width of the embedded-Gaussian non-local operation.
        fine_blocks: dense blocks of the fine stage, and so k of the merging block (equation 8),
            whose k groups are their outputs.
        key_stride: keys and values of a region are max-pooled by this much, the sub-sampling of
            Wang et al. (Non-local Neural Networks, section 3.3). 1 is equation 6 as it stands.
        region_extent: pixels of the frame that one paper grid spans; larger frames get a grid that
            grows with them. ``None``: the paper's literal grid at every size.
        region_aware: with the region-aware blocks (table 2, "w/ RA").
        fine_stage: with the fine stage; without it the coarse result is the result.
        context: with the dense blocks and the merging block of the fine stage (table 2).
        residual_output: the fine stage's reconstruction is added to the coarse result, as NLEDN
            does; ``False``: it is the image itself. The paper does not say which.

    Raises:
        UserError: if a number is out of range.
    """

    channels: int = 64
    growth: int = 32
    dense_layers: int = 4
    nonlocal_channels: int = 32
    fine_blocks: int = 4
    key_stride: int = 1
    region_extent: int | None = 512
    region_aware: bool = True
    fine_stage: bool = True
    context: bool = True
    residual_output: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is bool and not isinstance(value, bool):
                raise UserError(f"GraNet configuration: {field.name} must be true or false, not {value!r}")
            if field.name in _LARGEST:
                self._check_number(field.name, value)
        self.size_rule  # noqa: B018  an extent that the rule refuses is refused here

    @staticmethod
    def _check_number(name: str, value: Any) -> None:
        # JSON's true is Python's 1, but nobody means it as a width.
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST[name]:
            raise UserError(
                f"GraNet configuration: {name} must be an integer from 1 to {_LARGEST[name]}, not {value!r}"
            )

    @classmethod
    def paper(cls) -> "GraNetConfig":
        """The network of the paper with the widths of NLEDN; 1.0 million parameters."""
        return cls()

    @classmethod
    def lite(cls) -> "GraNetConfig":
        """The same two stages, narrow enough for live video on a CPU: 15 GOP for a 480x320 frame.

        Attention at half resolution is most of a narrow network's time (its softmax visits 121
        million scores a 480x320 frame), so keys and values are sub-sampled 4x4.
        """
        return cls(channels=16, growth=8, nonlocal_channels=16, key_stride=4)

    @classmethod
    def preset(cls, name: str) -> "GraNetConfig":
        """``paper`` or ``lite`` by name.

        Raises:
            UserError: for any other name.
        """
        presets = {"paper": cls.paper, "lite": cls.lite}
        if name not in presets:
            raise UserError(f"no preset {name!r}: there are {', '.join(presets)}")
        return presets[name]()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "GraNetConfig":
        """The configuration that :func:`dataclasses.asdict` wrote.

        A setting that is missing gets its default, which is the behaviour from before it existed.

        Raises:
            UserError: if a name is unknown or a value out of range.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UserError(f"GraNet configuration has unknown settings: {', '.join(map(str, unknown))}")
        return cls(**values)

    def ablations(self) -> dict[str, "GraNetConfig"]:
        """The four settings of table 2, by the names they have there."""
        return {
            "Only Coarse w/o RA": replace(self, region_aware=False, fine_stage=False),
            "Only Coarse w/ RA": replace(self, fine_stage=False),
            "Coarse + Fine (w/o Context)": replace(self, context=False),
            "Coarse + Fine (w/ Context)": self,
        }

    @property
    def size_rule(self) -> SizeRule:
        """The padding rule of this network: sides are multiples of 8 per paper grid."""
        return SizeRule(multiple=2**POOLING_LEVELS, extent=self.region_extent)
