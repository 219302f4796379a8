"""Checks the options of ``granet-train``: refuses those that the training would not use."""

from collections import Counter

from granet.app.console import UsageError
from granet.data.specs import DATA
from granet.training.options import TrainOptions
from granet.training.recipe import Recipe
from granet.training.specs import takes_heaviness


def check_train_options(options: TrainOptions) -> None:
    """Refuses options that contradict each other, or that the training would not use.

    Raises:
        UsageError: names the two options in conflict, or the missing one; the first is reported.
    """
    options.at_most_one("--epochs", "--minutes", why="both limit the training")
    options.at_most_one("--resume", "--overwrite", "--continue", why="each is another start of the training")
    _check_network(options)
    _check_schedule(options)
    _check_samples(options)
    _check_specs(options)
    settings = Counter(text.partition("=")[0] for text in options.settings)
    for name, count in settings.items():
        if count > 1:
            raise UsageError(f"--set {name}=... is given {count} times: give it once")


def _check_network(options: TrainOptions) -> None:
    options.refuse(
        "--renew-coarse",
        conflict="without --init" if options.init is None and not options.goes_on else None,
        why="random weights are new in both stages; give --init",
    )
    options.refuse(
        "--revive",
        conflict="without --init" if options.init is None and not options.goes_on else None,
        why="random weights have few silent channels; give --init",
    )


def _check_schedule(options: TrainOptions) -> None:
    limited = options.epochs is not None or options.minutes is not None
    options.refuse(
        "--cosine",
        conflict="without --epochs or --minutes" if options.cosine and not limited else None,
        why="it needs to know when the training ends; give one of them",
    )
    options.refuse(
        "--stable",
        conflict=None if options.cosine else "without --cosine",
        why="it delays the cosine; give --cosine too",
    )
    options.refuse(
        "--patience",
        conflict="with --cosine" if options.cosine else None,
        why="it belongs to the plateau schedule, which --cosine replaces; give one of them",
    )
    options.refuse(
        "--patience",
        conflict=f"with --lr {options.lr:g}" if limited and options.lr <= Recipe.min_lr else None,
        why=f"the plateau schedule lowers the rate only to {Recipe.min_lr:g}; leave --patience out",
    )


def _check_samples(options: TrainOptions) -> None:
    crops = options.crop_sizes
    options.refuse(
        "--batch",
        conflict="without --crop" if options.batch > 1 and crops is None else None,
        why="whole pictures differ in size; give --crop too",
    )
    options.refuse(
        "--long-side",
        conflict=None if crops is None else "with --crop",
        why="it shrinks whole pictures, and --crop cuts squares; give one of them",
    )
    if crops is None or len(crops) == 1:
        return
    options.refuse(
        "--crop",
        conflict=f"{options.crop} without --epochs" if options.epochs is None else None,
        why="several sizes divide the epochs among them; give --epochs",
    )
    few = options.epochs is not None and len(crops) > options.epochs
    options.refuse(
        "--crop",
        conflict=f"{options.crop} with --epochs {options.epochs}" if few else None,
        why=f"{len(crops)} sizes need at least as many epochs; raise --epochs",
    )


def _check_specs(options: TrainOptions) -> None:
    specs = (*options.train, *options.val)
    options.refuse(
        "--heaviness",
        conflict=None if any(map(takes_heaviness, specs)) else "without --train synthetic:DIR",
        why="it applies to synthetic rain without a heaviness of its own; add such data",
    )
    dry = options.dry > 0 and all(spec.startswith("clean:") for spec in options.train)
    options.refuse(
        "--dry",
        conflict="with --train clean:DIR" if dry else None,
        why="all its pictures are dry; leave --dry out",
    )
    options.refuse(
        "--data",
        conflict=None if any(DATA in spec for spec in specs) else "without --recipe",
        why=f"it replaces {DATA} in --train and --val, and neither contains it; leave --data out",
    )
