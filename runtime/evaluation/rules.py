"""Checks the options of ``granet-eval``: refuses those that the run would not use."""

from pathlib import Path

from granet.app.command import EVERYWHERE
from granet.app.console import UsageError
from granet.evaluation.fixed_camera import FEWEST
from granet.weights.file_names import is_checkpoint
from runtime.evaluation.options import EvalOptions
from runtime.model_option import backend_conflict, is_packaged_name


def check_eval_options(options: EvalOptions) -> None:
    """Refuses a command line that has nothing to measure, or an option that the run would not use.

    Raises:
        UsageError: names the two options in conflict, or the missing one; the first is reported.
    """
    for model in options.models:
        is_packaged_name(model)  # refuses a bare name that no packaged model has
    _check_map(options)
    _check_fixed_camera(options)
    _check_ground_truth(options)
    _check_stages(options)
    _check_tables(options)
    _check_figures(options)
    options.refuse(
        "--backend",
        conflict=_wrong_backend(options),
        why="checkpoints run in torch, engines in tensorrt, ONNX models in the others",
    )
    _check_complete(options)


def _check_complete(options: EvalOptions) -> None:
    if not options.ckpt and not options.models:
        raise UsageError("no model is named: give --ckpt best.pt, or --model lite or best.onnx")
    sources = (options.data, options.clean, options.figure6, options.fixed_camera)
    if not any(sources):
        raise UsageError(
            "no pictures are named: give --data SPEC (as in rain100l:DIR), --clean DIR or --fixed-camera CLIP"
        )
    for option, names in (("--ckpt", [str(path) for path in options.ckpt]), ("--model", options.models)):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"{option} {twice} is given twice: give it once")
    if len(set(options.figures)) < len(options.figures):
        raise UsageError("two figures have the same name: give each a file of its own")


def _check_map(options: EvalOptions) -> None:
    models = [model for model in options.models if is_checkpoint(Path(model))]
    found = [*(f"--ckpt {path}" for path in options.ckpt), *(f"--model {model}" for model in models)]
    several = f"with {found[0]} and {found[1]}" if len(found) > 1 else None
    options.refuse(
        "--map",
        conflict=several if found else "without --ckpt",
        why="it names the weights of one checkpoint; python -m granet.training.convert --map converts others",
    )
    options.parsed_renames()


def _check_fixed_camera(options: EvalOptions) -> None:
    few = options.fixed_camera is not None and options.limit is not None and options.limit < FEWEST
    options.refuse(
        "--limit",
        conflict=f"{options.limit} with --fixed-camera" if few else None,
        why=f"a median over time needs at least {FEWEST} frames",
    )
    options.refuse_all_but(
        *(
            "--fixed-camera",
            "--ckpt",
            "--map",
            "--model",
            "--limit",
            "--json",
            "--device",
            "--backend",
            *EVERYWHERE,
        ),
        conflict=None if options.fixed_camera is None else "with --fixed-camera",
        why="a clip of real rain has no ground truth; measure it in a run of its own",
    )


def _check_ground_truth(options: EvalOptions) -> None:
    options.refuse(
        *("--table1", "--table2", "--table3", "--tables", "--figure7", "--figure8"),
        conflict=None if options.data else "without --data",
        why="it needs pictures with ground truth: give --data SPEC",
    )


def _check_stages(options: EvalOptions) -> None:
    """The options that show the stages of checkpoints, and the models beside them."""
    options.refuse(
        *("--table3", "--figure6", "--figure7"),
        conflict="without --ckpt" if options.models and not options.has_checkpoint else None,
        why="it shows the stages of a network, which come from a checkpoint",
    )
    shown = _stage_option(options)
    if shown is None or options.measures_every_model:
        return
    exported = [model for model in options.models if not is_checkpoint(Path(model))]
    options.refuse(
        "--model",
        conflict=f"{exported[0]} with {shown}" if exported else None,
        why="it shows checkpoints alone; leave the exported model out",
    )
    second = options.checkpoints[1:2] if not options.measures_stages else []
    options.refuse(
        "--ckpt" if len(options.ckpt) > 1 else "--model",
        conflict=f"{second[0]} with {shown}" if second else None,
        why="a figure shows the first checkpoint; leave the others out",
    )


def _stage_option(options: EvalOptions) -> str | None:
    """The first option that shows stages of checkpoints."""
    wanted = {
        "--table3": options.table3,
        "--figure6": options.figure6 is not None,
        "--figure7": options.figure7 is not None,
    }
    return next((option for option, is_wanted in wanted.items() if is_wanted), None)


def _check_tables(options: EvalOptions) -> None:
    options.refuse(
        *("--table1", "--table2", "--table3"),
        conflict="with --tables" if options.tables else None,
        why="--tables prints them all; give one of them",
    )
    unprinted = ["--table1", "--table2"] if options.has_checkpoint else ["--table1", "--table2", "--tables"]
    options.refuse(
        *unprinted,
        conflict="with --json" if options.as_json else None,
        why="JSON has every result and no tables; give one of them",
    )


def _check_figures(options: EvalOptions) -> None:
    six, seven = options.figure6 is not None, options.figure7 is not None
    options.refuse(
        "--figure6",
        conflict="without --images" if options.images is None else None,
        why="it shows photographs: give --images DIR",
    )
    options.refuse(
        "--images",
        conflict=None if six else "without --figure6",
        why="figure 6 shows these photographs: give --figure6 PNG",
    )
    options.refuse(
        "--pick",
        conflict=None if six or seven else "without --figure6",
        why="it picks the pictures of figure 6 or 7: give --figure6 PNG or --figure7 PNG",
    )
    options.refuse(
        "--pick",
        conflict="with --figure6 and --figure7" if six and seven else None,
        why="the two figures have different pictures: draw one at a time",
    )
    options.refuse(
        "--overwrite",
        conflict=None if options.figures else "without --figure6, --figure7 or --figure8",
        why="the run writes no other file",
    )
    measures = options.measures_every_model or options.measures_stages
    options.refuse(
        "--limit",
        conflict=None if measures else "without --data, --clean or --fixed-camera",
        why="choose the pictures of a figure with --pick",
    )


def _wrong_backend(options: EvalOptions) -> str | None:
    if options.has_checkpoint and options.backend not in ("auto", "torch") and not options.models:
        return f"{options.backend} with --ckpt {options.ckpt[0]}"
    conflicts = (backend_conflict(model, options.backend) for model in options.models)
    return next((conflict for conflict in conflicts if conflict is not None), None)
