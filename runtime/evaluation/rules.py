"""Which options of ``granet-eval`` a run would not use, and the check of a command line."""

from collections.abc import Callable, Collection
from pathlib import Path

from granet.app.console import UsageError
from granet.app.used_options import Rule, check_used
from runtime.evaluation.models import is_checkpoint
from runtime.evaluation.options import EvalOptions
from runtime.model_option import backend_conflict, is_packaged_name


def check_eval_options(options: EvalOptions, given: Collection[str]) -> None:
    """Refuses a command line that leaves an option unused, or has nothing to measure.

    Args:
        options: of this run.
        given: the options that the user gave.

    Raises:
        UsageError: the line names the two options in conflict, or the one that is missing.
    """
    for model in options.models:
        is_packaged_name(model)  # refuses a bare name that no packaged model has
    check_used(RULES, options, given)
    if not options.ckpt and not options.models:
        raise UsageError("no model is named: give --ckpt best.pt, or --model lite or best.onnx")
    sources = (options.data, options.clean, options.figure6, options.fixed_camera)
    if not any(sources):
        raise UsageError(
            "no pictures are named: give --data SPEC (as in rain100l:DIR), --clean DIR or --fixed-camera CLIP"
        )
    if len(set(options.figures)) < len(options.figures):
        raise UsageError("two figures have the same name: give each a file of its own")


def _when(wrong: Callable[[EvalOptions], bool], conflict: str) -> Callable[[EvalOptions], str | None]:
    return lambda options: conflict if wrong(options) else None


def _wrong_backend(options: EvalOptions) -> str | None:
    if options.has_checkpoint and options.backend not in ("auto", "torch") and not options.models:
        return f"{options.backend} with --ckpt {options.ckpt[0]}"
    conflicts = (backend_conflict(model, options.backend) for model in options.models)
    return next((conflict for conflict in conflicts if conflict is not None), None)


def _measures_nothing(options: EvalOptions) -> bool:
    return not options.measures_every_model and not options.measures_stages


def _of_stages(options: EvalOptions) -> str | None:
    """The option that shows stages of checkpoints, if there is one."""
    wanted = {
        "--table3": options.table3,
        "--figure6": options.figure6 is not None,
        "--figure7": options.figure7 is not None,
    }
    return next((option for option, is_wanted in wanted.items() if is_wanted), None)


def _model_without_stages(options: EvalOptions) -> str | None:
    exported = [model for model in options.models if not is_checkpoint(Path(model))]
    shown = _of_stages(options)
    if not exported or shown is None or options.measures_every_model:
        return None
    return f"{exported[0]} with {shown}"


def _second_checkpoint(options: EvalOptions) -> str | None:
    shown = _of_stages(options)
    if len(options.ckpt) < 2 or shown is None or not _measures_nothing(options):
        return None
    return f"{options.ckpt[1]} with {shown}"


_OF_FIXED_CAMERA = (
    "--fixed-camera", "--ckpt", "--model", "--limit", "--json", "--device", "--backend", "--debug",
)  # fmt: skip

RULES: tuple[Rule[EvalOptions], ...] = (
    Rule(
        _OF_FIXED_CAMERA,
        _when(lambda options: options.fixed_camera is not None, "with --fixed-camera"),
        "a clip of real rain has no ground truth; measure it in a run of its own",
        all_but=True,
    ),
    Rule(
        ("--table1", "--table2", "--table3", "--tables", "--figure7", "--figure8"),
        _when(lambda options: not options.data, "without --data"),
        "it needs pictures with ground truth: give --data SPEC",
    ),
    Rule(
        ("--table3", "--figure6", "--figure7"),
        _when(
            lambda options: not options.has_checkpoint and bool(options.models),
            "without --ckpt",
        ),
        "it shows the stages of a network, which come from a checkpoint",
    ),
    Rule(("--model",), _model_without_stages, "it shows checkpoints alone; leave the exported model out"),
    Rule(("--ckpt",), _second_checkpoint, "a figure shows the first checkpoint; leave the others out"),
    Rule(
        ("--table1", "--table2", "--table3"),
        _when(lambda options: options.tables, "with --tables"),
        "--tables prints them all; leave one of the two out",
    ),
    Rule(
        ("--table1", "--table2"),
        _when(lambda options: options.as_json, "with --json"),
        "JSON has every result and no tables; leave one of the two out",
    ),
    Rule(
        ("--tables",),
        _when(lambda options: options.as_json and not options.has_checkpoint, "with --json"),
        "JSON has every result and no tables; leave one of the two out",
    ),
    Rule(
        ("--figure6",),
        _when(lambda options: options.images is None, "without --images"),
        "it shows photographs: give --images DIR",
    ),
    Rule(
        ("--images",),
        _when(lambda options: options.figure6 is None, "without --figure6"),
        "figure 6 shows these photographs: give --figure6 PNG",
    ),
    Rule(
        ("--pick",),
        _when(lambda options: options.figure6 is None and options.figure7 is None, "without --figure6"),
        "it picks the pictures of figure 6 or 7: give --figure6 PNG or --figure7 PNG",
    ),
    Rule(
        ("--pick",),
        _when(
            lambda options: options.figure6 is not None and options.figure7 is not None,
            "with --figure6 and --figure7",
        ),
        "it cannot be both figures' picture: draw one of them at a time",
    ),
    Rule(
        ("--overwrite",),
        _when(lambda options: not options.figures, "without --figure6, --figure7 or --figure8"),
        "no other file is written",
    ),
    Rule(
        ("--limit",),
        _when(_measures_nothing, "without --data, --clean or --fixed-camera"),
        "a figure shows pictures by --pick",
    ),
    Rule(("--backend",), _wrong_backend, "checkpoints run in torch, engines in tensorrt, ONNX in the others"),
)
"""When a run does not use an option; the first one in conflict is reported."""
