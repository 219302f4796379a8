"""The recipe of a training: everything that decides its result and must not change when it is resumed."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from granet.config import GraNetConfig
from granet.data.specs import without_folders
from granet.errors import UserError

if TYPE_CHECKING:
    from granet.training.losses import LossName


@dataclass(frozen=True)
class Limits:
    """When a training ends; without a limit it ends when it has converged (section 4.3).

    Attributes:
        epochs: complete epochs.
        minutes: training time over all parts of the training.
    """

    epochs: int | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class Recipe:
    """A recipe; the defaults are the paper's (section 4.3).

    Attributes:
        config: configuration of the network, as :func:`dataclasses.asdict` of a GraNetConfig.
        train: specs of the training data (:mod:`granet.data.datasets`).
        weights: shares of the data sets in the samples; proportional to their sizes if ``None``.
        val: specs of the validation data.
        init: checkpoint with the initial weights; random weights if ``None``.
        init_sha256: SHA-256 of that file, hexadecimal; ``None`` if it is not known.
        renew_coarse: whether the coarse stage of ``init`` starts from new weights.
        revive: whether the silent channels of ``init`` start from new weights.
        seed: random seed for weights, sampling, crops, flips and rain.
        epoch_size: samples between validations; the number of pictures if ``None``.
        batch: samples per step and process.
        crop: sides of random squares, in pixels; whole pictures if ``None``. Several sizes divide the
            epochs equally, in their order.
        long_side: longest side, in pixels, that whole pictures are shrunk to.
        dry: share of samples without rain, whose input is the clean picture.
        lr: initial learning rate of Adam.
        min_lr: final learning rate of the plateau schedule.
        lr_factor: factor of each reduction by the plateau schedule.
        patience: epochs without a better PSNR before a reduction.
        cosine: whether a cosine from ``lr`` to nearly 0, after a warm-up, replaces the plateau schedule.
        stable: share of the training at ``lr`` before the cosine begins.
        loss: name of the loss (:func:`granet.training.losses.restoration_loss`).
        coarse_loss: share of a further loss, that of the coarse result; 0 is the paper's.
        teacher: checkpoint of a network whose results are further targets.
        teacher_sha256: SHA-256 of that file, hexadecimal; ``None`` if it is not known.
        ema: decay of an exponential moving average of the weights; the average is validated and saved.
        clip_gradient: largest norm of the gradient.
    """

    config: dict[str, Any]
    train: tuple[str, ...]
    val: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    init: str | None = None
    init_sha256: str | None = None
    renew_coarse: bool = False
    revive: bool = False
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
    coarse_loss: float = 0.0
    teacher: str | None = None
    teacher_sha256: str | None = None
    ema: float | None = None
    clip_gradient: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The recipe as JSON values by name, without the user's folders: others may read it."""
        return shareable({name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()})

    def completed(self, other: dict[str, Any]) -> "Recipe":
        """This recipe with what only the start of a training needs, from ``other``, its record.

        A training that goes on does not read its initial weights, so they need not be named, or exist.
        """
        known: dict[str, Any] = {}
        for name in CHECKPOINTS:  # a file of this name that is gone
            if getattr(self, _hash_of(name)) is None and _file_name(getattr(self, name)) == other.get(name):
                known[_hash_of(name)] = other.get(_hash_of(name))
        if self.init is None:
            known |= {name: other.get(name) for name in ("init", "init_sha256")}
            # A wish that the start did not have stays, and is a difference: it would come too late.
            known |= {
                name: getattr(self, name) or other.get(name, False) for name in ("renew_coarse", "revive")
            }
        return replace(self, **known)

    def require_same(
        self, other: dict[str, Any], option: str = "--resume", instead: str = "another --out"
    ) -> None:
        """Requires that the recipe equals the one of the training to continue.

        Args:
            other: :meth:`to_json` of that training, perhaps written by an older version.
            option: the option that continues the training.
            instead: the user's alternative to the same options.

        Raises:
            UserError: one line with all differences.
        """
        older = _as_now(other)
        mine = _as_now(self.completed(older).to_json())
        # A setting that is missing had its default, which is the behaviour from before it existed.
        theirs = {f.name: older.get(f.name, f.default) for f in fields(self)}
        for name in CHECKPOINTS:
            _compare_checkpoints(name, mine, theirs)
        differing = [
            f"{name} {_differs(mine[name], theirs[name])}" for name in mine if mine[name] != theirs[name]
        ]
        if differing:
            raise UserError(
                f"{option} needs the options of the training it continues, but {'; '.join(differing)}; "
                f"give the same options, or {instead}"
            )


CHECKPOINTS = ("init", "teacher")
"""Settings that name checkpoints; beside each is its hash."""


def shareable(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recorded recipe without the user's folders: file names and names of data sets alone.

    Older versions recorded paths.
    """
    files = {name: _file_name(recipe[name]) for name in CHECKPOINTS if name in recipe}
    data = {name: list(map(without_folders, recipe[name])) for name in ("train", "val") if name in recipe}
    return recipe | files | data


def shareable_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a checkpoint, with its recipe as :func:`shareable` if it has one of ours."""
    recipe = facts.get("recipe")
    return facts | {"recipe": shareable(recipe)} if is_recipe(recipe) else facts


def is_recipe(recipe: object) -> TypeGuard[dict[str, Any]]:
    """Whether a fact is like one of :meth:`Recipe.to_json`; other programs have recipes too."""
    return (
        isinstance(recipe, dict)
        and isinstance(recipe.get("config", {}), dict)
        and all(isinstance(recipe.get(name), str | None) for name in CHECKPOINTS)
        and all(_are_texts(recipe.get(name, [])) for name in ("train", "val"))
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


def _file_name(path: str | None) -> str | None:
    return path and Path(path).name


def _hash_of(checkpoint: str) -> str:
    return f"{checkpoint}_sha256"


def _compare_checkpoints(name: str, mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Leaves at most one difference: the content if both are known, whatever the name, else the name."""
    content = _hash_of(name)
    if mine[content] and theirs[content]:
        same = mine[content] == theirs[content]
        mine[name] = theirs[name] if same else f"{mine[name]} with other content"
    mine[content] = theirs[content] = None


def _as_now(recipe: dict[str, Any]) -> dict[str, Any]:
    """Converts a recipe of an older version: a single crop size, fewer settings of the network, folders."""
    crop, config = recipe.get("crop"), recipe.get("config")
    return shareable(recipe) | {
        "crop": [crop] if isinstance(crop, int) else crop,
        "config": asdict(GraNetConfig()) | config if isinstance(config, dict) else config,
    }


def _differs(new: Any, old: Any) -> str:
    """The given value and that of the training; only the entries that differ if they are tables."""
    if isinstance(new, dict) and isinstance(old, dict):
        keys = [key for key in new if new[key] != old.get(key)]
        new, old = {key: new[key] for key in keys}, {key: old.get(key) for key in keys}
    return f"is {new} instead of {old}"
