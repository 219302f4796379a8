"""The options of ``granet-train``: their checks, and the recipe they make."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from granet.app.console import UsageError
from granet.config import GraNetConfig
from granet.data.datasets import parse_heaviness
from granet.training.losses import LossName
from granet.training.recipe import Limits, Recipe

PATIENCE, PATIENCE_RAIN100L = 3, 10  # section 4.3
LONG_SIDE = 512  # section 4.3
DATA = "{data}"
"""Placeholder in a spec for the directory of ``--data``."""


@dataclass(frozen=True)
class TrainOptions:
    """The options by name; ``None`` for one that is not given.

    Attributes:
        settings: ``--set``.
        go_on_from: ``--continue``.
        directory: ``--out``.
        compiled: ``--compile``.

    Raises:
        UsageError: if two options contradict each other, or one would be ignored.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    data: Path | None = None
    preset: str | None = None
    settings: tuple[str, ...] = ()
    directory: Path | None = None
    resume: bool = False
    overwrite: bool = False
    go_on_from: Path | None = None
    epochs: int | None = None
    minutes: float | None = None
    init: Path | None = None
    teacher: Path | None = None
    device: str = "auto"
    seed: int = 0
    crop: tuple[int, ...] | None = None
    batch: int = 1
    long_side: int | None = None
    epoch_size: int | None = None
    dry: float = 0.0
    heaviness: str | None = None
    loss: LossName = "l1"
    lr: float = 5e-4
    patience: int | None = None
    cosine: bool = False
    stable: float | None = None
    ema: float | None = None
    clip_gradient: float | None = None
    precision: str = "auto"
    channels_last: bool | None = None
    compiled: bool = False
    threads: int | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        for wrong, why in self._mistakes():
            if wrong:
                raise UsageError(why)

    def _mistakes(self) -> list[tuple[bool, str]]:
        several = self.crop is not None and len(self.crop) > 1
        specs = (*self.train, *self.val)
        drawn = any(map(_takes_heaviness, specs))
        start = self.resume + self.overwrite + (self.go_on_from is not None)
        limited = self.epochs is not None or self.minutes is not None
        return [
            (self.epochs is not None and self.minutes is not None,
             "--epochs and --minutes both limit the training: give one of them"),
            (self.cosine and not limited,
             "--cosine needs to know when the training ends: give --epochs or --minutes"),
            (self.stable is not None and not self.cosine, "--stable delays the cosine: give --cosine too"),
            (self.patience is not None and self.cosine,
             "--patience belongs to the plateau schedule, which --cosine replaces: give one of them"),
            (self.patience is not None and limited and self.lr <= Recipe.min_lr,
             f"--patience has no effect with --lr {self.lr:g}: the plateau schedule lowers the rate only "
             f"to {Recipe.min_lr:g}; leave --patience out"),
            (self.batch > 1 and self.crop is None, "--batch needs --crop: whole pictures differ in size"),
            (self.long_side is not None and self.crop is not None,
             "--long-side shrinks whole pictures, but --crop cuts squares: give one of them"),
            (several and self.epochs is None,
             "--crop with several sizes divides the epochs among them: give --epochs"),
            (several and self.epochs is not None and len(self.crop or ()) > self.epochs,
             f"--crop with {len(self.crop or ())} sizes needs at least as many epochs: raise --epochs "
             f"{self.epochs}"),
            (self.heaviness is not None and not drawn,
             "--heaviness applies to synthetic rain without a heaviness of its own: add "
             "--train synthetic:DIR"),
            (self.dry > 0 and all(spec.startswith("clean:") for spec in self.train),
             "--dry has no effect with --train clean:DIR, whose pictures are all dry: leave --dry out"),
            (start > 1, "--resume, --continue and --overwrite exclude each other: give one of them"),
            (self.data is not None and not any(DATA in spec for spec in specs),
             f"--data replaces {DATA} in --train and --val, but none of them contains it: leave --data out"),
        ]  # fmt: skip

    @property
    def out(self) -> Path:
        """The output directory."""
        name = self.preset or ("paper" if self.init is None else self.init.stem)
        return self.directory or Path("runs") / name

    @property
    def limits(self) -> Limits:
        """When the training ends."""
        return Limits(self.epochs, self.minutes)

    def with_data(self, spec: str) -> str:
        """``spec`` with the directory of ``--data`` in place of the placeholder.

        Raises:
            UsageError: if it has the placeholder and ``--data`` is not given.
        """
        if DATA in spec and self.data is None:
            raise UsageError(f"{spec}: give the directory of the data with --data")
        return spec.replace(DATA, str(self.data))

    def recipe(self) -> Recipe:
        """The options that decide the result.

        Raises:
            UserError: if the initial checkpoint cannot be read, or a value is out of range.
        """
        specs, weights = _shares(list(self.train))
        return Recipe(
            config=asdict(self._network()),
            train=tuple(_with_heaviness(spec, self.heaviness) for spec in specs),
            val=tuple(_with_heaviness(spec, self.heaviness) for spec in self.val),
            weights=weights,
            init=None if self.init is None else str(self.init),
            seed=self.seed,
            epoch_size=self.epoch_size,
            batch=self.batch,
            crop=self.crop,
            long_side=self.long_side or LONG_SIDE,
            dry=self.dry,
            lr=self.lr,
            min_lr=min(self.lr, Recipe.min_lr),
            patience=self.patience if self.patience is not None else _patience(specs),
            cosine=self.cosine,
            stable=self.stable or 0.0,
            loss=self.loss,
            teacher=None if self.teacher is None else str(self.teacher),
            ema=self.ema or None,
            clip_gradient=self.clip_gradient,
        )

    def _network(self) -> GraNetConfig:
        if self.init is not None and self.preset is None and not self.settings:
            from granet.checkpoint import read_checkpoint

            return read_checkpoint(self._source() or self.init).config
        changes = {}
        for text in self.settings:
            key, _, value = text.partition("=")
            try:
                changes[key] = json.loads(value)
            except ValueError as error:
                raise UsageError(
                    f"--set {text}: expected NAME=VALUE, as in fine_stage=false or channels=32"
                ) from error
        known = asdict(GraNetConfig.preset(self.preset or "paper"))
        return GraNetConfig.from_dict(known | changes)

    def _source(self) -> Path | None:
        """The checkpoint of a training that goes on: its first weights, those of --init, may be gone."""
        source = self.out / "last.pt" if self.resume else self.go_on_from
        return source if source is not None and source.exists() else None


def _shares(specs: list[str]) -> tuple[list[str], tuple[float, ...] | None]:
    """``SPEC@0.3`` ... -> the specs and their shares; ``None`` if no spec has a share."""
    parts = [re.fullmatch(r"(.+?)(?:@(\d+(?:\.\d*)?|\.\d+))?", spec) for spec in specs]
    names = [part[1] if part else spec for part, spec in zip(parts, specs, strict=True)]
    shares = [part[2] if part else None for part in parts]
    if all(share is None for share in shares):
        return names, None
    if None in shares:
        raise UsageError(
            f"{specs[shares.index(None)]} has no share: give each --train a share, as in SPEC@0.3, or none"
        )
    weights = tuple(float(share) for share in shares if share is not None)
    if min(weights) <= 0:
        raise UsageError("the share of a --train, as in SPEC@0.3, must be above 0")
    return names, weights


def _with_heaviness(spec: str, heaviness: str | None) -> str:
    """``spec`` with ``--heaviness`` if it is synthetic rain without a heaviness of its own."""
    if heaviness is None:
        return spec
    parse_heaviness(heaviness)
    if not _takes_heaviness(spec):
        return spec
    return f"{spec}{'&' if '?' in spec else '?'}heaviness={heaviness}"


def _takes_heaviness(spec: str) -> bool:
    """Whether ``spec`` is synthetic rain that neither gives its heaviness nor takes real streaks."""
    return spec.startswith("synthetic:") and "heaviness=" not in spec and "streaks=" not in spec


def _patience(specs: list[str]) -> int:
    return PATIENCE_RAIN100L if all(spec.startswith("rain100l:") for spec in specs) else PATIENCE
