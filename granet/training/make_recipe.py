"""Makes the recipe of a training from its options."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from granet.app.console import UsageError
from granet.app.value import wrong_value
from granet.config import GraNetConfig
from granet.training.options import TrainOptions
from granet.training.recipe import Recipe
from granet.training.specs import split_shares, with_heaviness
from granet.weights.content import read_file

PATIENCE, PATIENCE_RAIN100L = 3, 10  # section 4.3
LONG_SIDE = 512  # section 4.3


def make_recipe(options: TrainOptions) -> Recipe:
    """The options that decide the result.

    Raises:
        UserError: if the initial checkpoint cannot be read, or a value is out of range.
    """
    specs, weights = split_shares(options.train)
    config = _network(options)
    if not config.fine_stage:
        why = "the network has no fine stage, so the coarse result is the only one; leave it out"
        options.refuse("--renew-coarse", conflict="without a fine stage", why=why)
        options.refuse("--coarse-loss", conflict="without a fine stage", why=why)
    return Recipe(
        config=asdict(config),
        train=tuple(with_heaviness(spec, options.heaviness) for spec in specs),
        val=tuple(with_heaviness(spec, options.heaviness) for spec in options.val),
        weights=weights,
        init=None if options.init is None else str(options.init),
        init_sha256=_sha256(options.init),
        renew_coarse=options.renew_coarse,
        revive=options.revive,
        seed=options.seed,
        epoch_size=options.epoch_size,
        batch=options.batch,
        crop=options.crop_sizes,
        long_side=options.long_side or LONG_SIDE,
        dry=options.dry,
        lr=options.lr,
        min_lr=min(options.lr, Recipe.min_lr),
        patience=options.patience if options.patience is not None else _patience(specs),
        cosine=options.cosine,
        stable=options.stable or 0.0,
        loss=options.loss.value,
        coarse_loss=options.coarse_loss,
        teacher=None if options.teacher is None else str(options.teacher),
        teacher_sha256=_sha256(options.teacher),
        ema=options.ema or None,
        clip_gradient=options.clip_gradient,
    )


def _sha256(path: Path | None) -> str | None:
    """SHA-256 of a checkpoint, hexadecimal; ``None`` without a file, which is refused where it is read."""
    return None if path is None or not path.is_file() else hashlib.sha256(read_file(path)).hexdigest()


def _network(options: TrainOptions) -> GraNetConfig:
    base = _base(options)
    changes = {}
    for text in options.settings:
        key, _, value = text.partition("=")
        try:
            changes[key] = json.loads(value)
        except ValueError as error:
            raise UsageError(
                f"--set {text}: expected NAME=VALUE, as in fine_stage=false or channels=32"
            ) from error
    with wrong_value("--set"):
        return GraNetConfig.from_dict(asdict(base) | changes)


def _base(options: TrainOptions) -> GraNetConfig:
    """The network before ``--set``: the preset, else that of the first weights, else the paper's."""
    source = _own_weights(options) or options.init
    if options.preset is not None:
        return GraNetConfig.preset(options.preset.value)
    if source is None:
        return GraNetConfig.preset("paper")
    from granet.checkpoint import read_checkpoint

    return read_checkpoint(source).config


def _own_weights(options: TrainOptions) -> Path | None:
    """The checkpoint of a training that goes on: its first weights, those of --init, may be gone."""
    source = options.out / "last.pt" if options.resume else options.go_on_from
    return source if source is not None and source.exists() else None


def _patience(specs: list[str]) -> int:
    return PATIENCE_RAIN100L if all(spec.startswith("rain100l:") for spec in specs) else PATIENCE
