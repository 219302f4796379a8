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
    "fold": 8,
}


@dataclass(frozen=True)
class GraNetConfig:
    """Configuration of a :class:`granet.GraNet`; a checkpoint carries it.

    The paper gives the structure but not the widths; the defaults follow NLEDN (Li et al., 2018),
    whose settings the paper adopts (sections 4.1 and 4.3).

    Attributes:
        fold: frames are folded ``fold`` x ``fold`` (pixel-unshuffle) before the network and unfolded
            (pixel-shuffle) after it, so that it computes at 1/fold of each side on 3 fold^2 channels.
            1 is the paper's network. 2 is ours, not the paper's: sub-pixel convolution is ESPCN's (Shi
            et al., CVPR 2016), and denoising folded frames is FFDNet's (Zhang et al., TIP 2018).
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
    fold: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is bool and not isinstance(value, bool):
                raise UserError(f"GraNet configuration: {field.name} must be true or false, not {value!r}")
            if field.name in _LARGEST:
                self._check_number(field.name, value)
        step = self.fold * 2**POOLING_LEVELS
        extent = self.region_extent
        if self.fold > 1 and isinstance(extent, int) and extent % step:
            raise UserError(
                f"GraNet configuration: fold {self.fold} needs a region_extent that is a multiple of "
                f"{step} pixels, not {extent}"
            )
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
        """The same two stages on frames folded 2x2, for live video on a CPU; 0.27 million parameters.

        Softmax over whole regions would take most of a narrow network's time, so keys and values are
        sub-sampled 4x4.
        """
        return cls(fold=2, channels=32, growth=16, nonlocal_channels=16, key_stride=4)

    @classmethod
    def base(cls) -> "GraNetConfig":
        """As :meth:`lite` and twice as wide, for GPUs and strong CPUs; 1.03 million parameters."""
        return cls(fold=2, channels=64, growth=32, nonlocal_channels=16, key_stride=4)

    @classmethod
    def preset(cls, name: str) -> "GraNetConfig":
        """``paper``, ``base`` or ``lite`` by name.

        Raises:
            UserError: for any other name.
        """
        presets = {"paper": cls.paper, "base": cls.base, "lite": cls.lite}
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
        """The padding rule of this network: sides are multiples of 8 ``fold`` per paper grid."""
        return SizeRule(multiple=self.fold * 2**POOLING_LEVELS, extent=self.region_extent)

    @property
    def picture_channels(self) -> int:
        """Channels of a folded picture: 3 ``fold``^2."""
        return 3 * self.fold**2
