"""Configuration of the network: widths, region size, and the ablations of table 2."""

from dataclasses import dataclass, fields, replace
from typing import Any

from granet.errors import UserError
from granet.size_rule import SizeRule

POOLING_LEVELS = 3
"""Number of max-poolings in the coarse stage (three levels of local features, section 3.2)."""

MAX_WIDTH = 1024
"""Most channels of a layer: beyond any practical use, but small enough that the configuration in a damaged
or hostile file cannot exhaust the memory."""

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
    """Configuration of a :class:`granet.GraNet`; every checkpoint contains it.

    The paper describes the structure but not the widths. The defaults follow NLEDN (Li et al., 2018), whose
    settings the paper adopts (sections 4.1 and 4.3).

    >>> from granet import GraNetConfig
    >>> GraNetConfig.lite().channels, GraNetConfig(channels=16, fold=2).picture_channels
    (32, 12)

    Attributes:
        fold: frames are folded ``fold`` x ``fold`` (pixel-unshuffle) before the network and unfolded
            (pixel-shuffle) after it, so it computes at 1/fold of each side on 3 fold^2 channels. 1 is the
            paper's network; larger folds are not in the paper. Sub-pixel convolution comes from ESPCN
            (Shi et al., CVPR 2016), denoising of folded frames from FFDNet (Zhang et al., TIP 2018).
        channels: width C of the feature maps.
        growth: channels that each layer of a dense block adds.
        dense_layers: 3x3 convolutions in a dense block.
        nonlocal_channels: inner width of the embedded-Gaussian non-local operation.
        fine_blocks: dense blocks of the fine stage; equals k of the merging block (equation 8), whose
            groups are their outputs.
        key_stride: stride of the max-pooling of keys and values in a region, the sub-sampling of Wang et al.
            (Non-local Neural Networks, section 3.3); only whole windows count. 1 is the unchanged equation 6.
        region_extent: side in pixels of the frame area that one paper grid covers; larger frames get a
            proportionally larger grid. ``None``: the paper's literal grid at every size.
        region_aware: whether there are region-aware blocks (table 2, "w/ RA").
        fine_stage: whether there is a fine stage; otherwise the coarse result is the final result.
        context: whether the fine stage has dense blocks and a merging block (table 2).
        residual_output: whether the fine stage's reconstruction is added to the coarse result, as in NLEDN;
            ``False``: it is the image itself. The paper does not specify this.

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
        self.size_rule  # noqa: B018  checks the extent

    @staticmethod
    def _check_number(name: str, value: Any) -> None:
        # In Python True equals 1, but a JSON true is a mistake here.
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST[name]:
            raise UserError(
                f"GraNet configuration: {name} must be an integer from 1 to {_LARGEST[name]}, not {value!r}"
            )

    @classmethod
    def paper(cls) -> "GraNetConfig":
        """The paper's network with the widths of NLEDN; 1.0 million parameters."""
        return cls()

    @classmethod
    def lite(cls) -> "GraNetConfig":
        """The same two stages on frames folded 2x2, for live video on a CPU; 0.27 million parameters.

        Keys and values are sub-sampled 4x4: otherwise the softmax over whole regions would take most of the
        time of such a narrow network.
        """
        return cls(fold=2, channels=32, growth=16, nonlocal_channels=16, key_stride=4)

    @classmethod
    def base(cls) -> "GraNetConfig":
        """Like :meth:`lite`, but twice as wide, for GPUs and fast CPUs; 1.03 million parameters."""
        return cls(fold=2, channels=64, growth=32, nonlocal_channels=16, key_stride=4)

    @classmethod
    def preset(cls, name: str) -> "GraNetConfig":
        """The preset ``paper``, ``base`` or ``lite``.

        Raises:
            UserError: for any other name.
        """
        presets = {"paper": cls.paper, "base": cls.base, "lite": cls.lite}
        if name not in presets:
            raise UserError(f"unknown preset {name!r}: the presets are {', '.join(presets)}")
        return presets[name]()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "GraNetConfig":
        """Reads the configuration that :func:`dataclasses.asdict` wrote.

        A missing setting gets its default, which is the behaviour of versions without that setting.

        Raises:
            UserError: if a name is unknown or a value out of range.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UserError(f"GraNet configuration has unknown settings: {', '.join(map(str, unknown))}")
        return cls(**values)

    def ablations(self) -> dict[str, "GraNetConfig"]:
        """The four settings of table 2, by their names in the table."""
        return {
            "Only Coarse w/o RA": replace(self, region_aware=False, fine_stage=False),
            "Only Coarse w/ RA": replace(self, fine_stage=False),
            "Coarse + Fine (w/o Context)": replace(self, context=False),
            "Coarse + Fine (w/ Context)": self,
        }

    @property
    def size_rule(self) -> SizeRule:
        """The padding rule of this network: sides are multiples of 8 ``fold`` for each paper grid."""
        return SizeRule(multiple=self.fold * 2**POOLING_LEVELS, extent=self.region_extent)

    @property
    def picture_channels(self) -> int:
        """Channels of a folded picture: 3 ``fold``^2."""
        return 3 * self.fold**2
