"""Measures models on data sets and dry pictures; prints and draws the results of ``granet-eval``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from granet.app.console import say
from granet.app.schema import to_json
from granet.data.datasets import Dataset, open_dataset
from granet.errors import UserError
from granet.paper.plots import check_figure, draw_boxes, draw_stages
from granet.paper.tables import print_dry, print_summary, print_table1, print_table2, print_table3
from runtime.evaluation.models import EvaluatedModel, open_models
from runtime.evaluation.options import EvalOptions
from runtime.evaluation.report import (
    EvaluationReport,
    checkpoints,
    measure_dry,
    measure_results,
    measure_stages,
    settings_of_table2,
)
from runtime.evaluation.stage_plots import ShownPicture, pairs, photographs, pick, stages_of


@dataclass(frozen=True)
class _Inputs:
    """Everything that is read; opened before the work, which may take hours."""

    datasets: list[Dataset]
    dry: Dataset | None
    photographs: list[ShownPicture]
    pairs: list[ShownPicture]


def evaluate_models(options: EvalOptions) -> None:
    """Measures, prints and draws.

    Args:
        options: checked by :func:`runtime.evaluation.rules.check_eval_options`.

    Raises:
        UserError: if something cannot be opened, read, computed on or written.
    """
    for figure in options.figures:
        check_figure(figure, overwrite=options.overwrite)
    inputs = _open_inputs(options)
    with open_models(options.paths(), options.device, options.backend, options.parsed_renames()) as models:
        settings = _settings(models, options)
        say_models(models)
        report = _measure(models, inputs, options)
        if options.as_json:
            print_json(report.to_json())
        else:
            _print(report, settings, options)
        for path, pictures, title in (
            (options.figure6, inputs.photographs, "figure 6: photographs of real rain"),
            (options.figure7, inputs.pairs, "figure 7"),
        ):
            if path is not None:
                _draw_stages(models, path, pictures, title, overwrite=options.overwrite)
    if options.figure8 is not None:
        draw_boxes(options.figure8, report.data, overwrite=options.overwrite)
        say(f"wrote {options.figure8}")


def say_models(models: Sequence[EvaluatedModel]) -> None:
    """Prints the backend of each model on stderr."""
    for opened in models:
        say(f"{opened.name}: {opened.engine.info.description}")


def print_json(report: dict[str, Any]) -> None:
    """Prints a report on stdout."""
    sys.stdout.write(to_json(report, indent=2) + "\n")


def _open_inputs(options: EvalOptions) -> _Inputs:
    datasets = [open_dataset(spec, "test") for spec in options.data]
    dry = open_dataset(f"clean:{options.clean}", "test") if options.clean is not None else None
    images, names = options.images, options.picked
    of_photographs = pick(photographs(images), names, str(images)) if images is not None else []
    of_pairs = pick(pairs(datasets), names, ", ".join(options.data)) if options.figure7 is not None else []
    return _Inputs(datasets, dry, of_photographs, of_pairs)


def _settings(models: Sequence[EvaluatedModel], options: EvalOptions) -> dict[str, str]:
    """Model -> ablation, if table 2 is wanted and there is something to compare."""
    if not (options.table2 or options.tables):
        return {}
    settings = settings_of_table2(models)
    if options.table2 and not settings:
        raise UserError("table 2: none of the models is one of its four settings (GraNetConfig.ablations)")
    return settings if options.table2 or len(set(settings.values())) > 1 else {}


def _measure(models: Sequence[EvaluatedModel], inputs: _Inputs, options: EvalOptions) -> EvaluationReport:
    datasets, limit = inputs.datasets, options.limit
    return EvaluationReport(
        models=[model.to_json() for model in models],
        data=measure_results(datasets, models, limit) if options.measures_results else [],
        stages=measure_stages(datasets, models, limit) if options.measures_stages else {},
        clean=measure_dry(inputs.dry, models, limit) if inputs.dry is not None else None,
    )


def _print(report: EvaluationReport, settings: dict[str, str], options: EvalOptions) -> None:
    if report.data and (options.table1 or options.tables):
        print_table1(report.data)
    if report.data and settings:
        print_table2(report.data, settings)
    if not (options.table1 or options.table2 or options.tables):
        for evaluation in report.data:
            print_summary(evaluation)
    for name, evaluations in report.stages.items():
        print_table3(name, evaluations)
    if report.clean is not None:
        print_dry(report.clean)


def _draw_stages(
    models: Sequence[EvaluatedModel],
    path: Path,
    pictures: Sequence[ShownPicture],
    title: str,
    *,
    overwrite: bool,
) -> None:
    model = checkpoints(models, title)[0]
    draw_stages(
        path, stages_of(pictures, model.open_stages(), title), f"{title}, {model.name}", overwrite=overwrite
    )
    say(f"wrote {path}")
