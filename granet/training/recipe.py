"""How a network is trained: all that decides the result, and what a resumed training must have in common."""

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from granet.errors import UserError

if TYPE_CHECKING:
    from granet.training.losses import LossName


@dataclass(frozen=True)
class Limits:
    """When a training ends; without either when it has converged (section 4.3).

    Attributes:
        epochs: complete epochs.
        minutes: of training, over all of its parts.
    """

    epochs: int | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class Recipe:
    """The defaults are the paper's (section 4.3).

    Attributes:
        config: of the network, as :func:`dataclasses.asdict` of a GraNetConfig.
        train: specs of the training data (:mod:`granet.data.datasets`).
        weights: their shares of the samples; by size if ``None``.
        val: specs of the validation data.
        init: checkpoint that the weights start from.
        seed: of the first weights and of the order, cuts, flips and rain.
        epoch_size: samples between validations; every picture once if ``None``.
        batch: samples of one step of one process.
        crop: sides of random squares, in pixels; whole pictures if ``None``. Several share the epochs
            equally, in their order.
        long_side: to which whole pictures are shrunk, in pixels.
        dry: share of the samples that are clean pictures as their own input.
        lr: learning rate of Adam at the start.
        min_lr: where the plateau schedule ends.
        lr_factor: of each step of the plateau schedule.
        patience: epochs without a better PSNR before such a step.
        cosine: a cosine from ``lr`` to nearly 0 over the whole training, after a short rise, instead.
        stable: share of the training at ``lr`` before that cosine begins.
        loss: name of :func:`granet.training.losses.restoration_loss`.
        teacher: checkpoint whose results are learned from beside the truth.
        ema: decay of an exponential moving average of the weights, which is what is validated and saved.
        clip_gradient: largest norm of the gradient.
    """

    config: dict[str, Any]
    train: tuple[str, ...]
    val: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    init: str | None = None
    seed: int = 0
    epoch_size: int | None = None
    batch: int = 1
    crop: tuple[int, ...] | None = None
    long_side: int = 512
    dry: float = 0.0
    lr: float = 5e-4
    min_lr: float = 1e-4
    lr_factor: float = 0.9
    patience: int = 3
    cosine: bool = False
    stable: float = 0.0
    loss: "LossName" = "l1"
    teacher: str | None = None
    ema: float | None = None
    clip_gradient: float | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values by name."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def require_same(self, other: dict[str, Any]) -> None:
        """Holds the recipe against :meth:`to_json` of the training that is resumed.

        Raises:
            UserError: one line with all that differs.
        """
        mine = self.to_json()
        # A setting that is missing had its default, which is the behaviour from before it existed.
        theirs = {f.name: other.get(f.name, f.default) for f in fields(self)}
        differing = [
            f"{name} {_differs(mine[name], theirs[name])}" for name in mine if mine[name] != theirs[name]
        ]
        if differing:
            raise UserError(
                f"--resume goes on with the same training, and this differs: {'; '.join(differing)}; "
                "give it the same options, or another --out"
            )


def _differs(new: Any, old: Any) -> str:
    """What was given and what the run has; of tables only the entries that differ."""
    if isinstance(new, dict) and isinstance(old, dict):
        keys = [key for key in new if new[key] != old.get(key)]
        new, old = {key: new[key] for key in keys}, {key: old.get(key) for key in keys}
    return f"is {new}, and the run has {old}"
