"""``granet-eval``: how much rain models remove, by both metrics, and the paper's tables and figures."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from granet.app.console import DebugOption, UsageError, run_app, say
from granet.data.datasets import Dataset, open_dataset
from granet.errors import UserError
from granet.paper.plots import check_figure, draw_boxes, draw_stages
from granet.paper.tables import print_dry, print_summary, print_table1, print_table2, print_table3
from runtime.evaluation.models import EvaluatedModel, open_models
from runtime.evaluation.report import (
    EvaluationReport,
    checkpoints,
    measure_dry,
    measure_results,
    measure_stages,
    settings_of_table2,
)
from runtime.evaluation.stage_plots import ShownPicture, pairs, photographs, pick, stages_of

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True)
class _Wanted:
    """What is to be printed and drawn."""

    table1: bool
    table2: bool
    table3: bool
    tables: bool
    figure6: Path | None
    figure7: Path | None
    figure8: Path | None

    @property
    def figures(self) -> list[Path]:
        return [path for path in (self.figure6, self.figure7, self.figure8) if path is not None]

    @property
    def needs_data(self) -> bool:
        flags = (self.table1, self.table2, self.table3, self.tables, self.figure7, self.figure8)
        return any(flag for flag in flags)

    @property
    def results(self) -> bool:
        """Whether all pictures have to be run through the models."""
        some = self.table1 or self.table2 or self.tables or self.figure8 is not None
        return some or not (self.table3 or self.figure6 or self.figure7)


@app.command()
def evaluate(
    ckpt: Annotated[
        list[Path] | None,
        typer.Option("--ckpt", metavar="FILE", help="Checkpoint, run in PyTorch; may be repeated."),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", metavar="FILE", help="Exported model (.onnx); may be repeated."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="SPEC",
            help="Data set with ground truth, its test split; may be repeated: rain100l:DIR, rain100h:DIR, "
            "ddn:DIR, did:DIR, rain800:DIR, pairs:RAINY_DIR,CLEAN_DIR, synthetic:CLEAN_DIR, drawn:COUNT.",
        ),
    ] = None,
    clean: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Dry pictures: what is left of them?")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N pictures of each.")
    ] = None,
    table1: Annotated[bool, typer.Option("--table1", help="Data sets by models, and the paper's.")] = False,
    table2: Annotated[
        bool, typer.Option("--table2", help="The four ablations: a checkpoint or model of each.")
    ] = False,
    table3: Annotated[
        bool, typer.Option("--table3", help="Coarse result and mask of each checkpoint.")
    ] = False,
    tables: Annotated[bool, typer.Option("--tables", help="All tables that the models allow.")] = False,
    figure6: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Stages of the first checkpoint on --images.")
    ] = None,
    figure7: Annotated[
        Path | None, typer.Option(metavar="PNG", help="The same on pairs of --data, with the truth.")
    ] = None,
    figure8: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Box plots of PSNR and SSIM on each data set.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photographs without ground truth, for figure 6.")
    ] = None,
    picked: Annotated[
        list[str] | None,
        typer.Option("--pick", metavar="NAME", help="Picture of figure 6 or 7; may be repeated."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on stdout, every picture in it, and no tables.")
    ] = False,
    device: Annotated[str, typer.Option(metavar="D", help="auto, cpu, cuda, cuda:N, gpu or npu.")] = "auto",
    backend: Annotated[
        str, typer.Option(metavar="B", help="Of exported models: auto, onnxruntime or openvino.")
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace figures that exist.")] = False,
    debug: DebugOption = False,
) -> None:
    """Measures models on data sets: PSNR and SSIM on Y, the rainy input beside the results.

    By two metrics that are over 1 dB apart: `paper`, with which the paper's tables were measured, and
    `matlab`, which most of the literature reports. Exit status: 0 done, 1 failed, 2 wrong usage.
    """
    paths, specs = [*(ckpt or []), *(model or [])], data or []
    wanted = _Wanted(table1, table2, table3, tables, figure6, figure7, figure8)
    _check_usage(paths, specs, clean, images, picked or [], wanted)
    for figure in wanted.figures:
        check_figure(figure, overwrite=overwrite)
    datasets = [open_dataset(spec, "test") for spec in specs]
    dry = open_dataset(f"clean:{clean}", "test") if clean is not None else None
    # What is missing is said before the work, which may take hours.
    of_photographs = pick(photographs(images), picked or [], str(images)) if images is not None else []
    of_pairs = pick(pairs(datasets), picked or [], ", ".join(specs)) if figure7 is not None else []
    with open_models(paths, device, backend) as models:
        settings = _settings(models, wanted)
        _check_stages(models, wanted)
        for opened in models:
            say(f"{opened.name}: {opened.engine.info.description}")
        report = _measure(models, datasets, dry, limit, wanted)
        if as_json:
            sys.stdout.write(json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n")
        else:
            _print(report, settings, wanted)
        _draw_stages(models, figure6, of_photographs, "figure 6: photographs of real rain")
        _draw_stages(models, figure7, of_pairs, "figure 7")
    if figure8 is not None:
        draw_boxes(figure8, report.data)
        say(f"wrote {figure8}")


def _check_usage(
    paths: Sequence[Path],
    specs: Sequence[str],
    clean: Path | None,
    images: Path | None,
    picked: Sequence[str],
    wanted: _Wanted,
) -> None:
    if not paths:
        raise UsageError("no model is named: give --ckpt best.pt or --model best.onnx")
    if not specs and wanted.needs_data:
        raise UsageError("tables and figures 7 and 8 need pictures with ground truth: give --data SPEC")
    if not specs and clean is None and wanted.figure6 is None:
        raise UsageError("no pictures are named: give --data SPEC (as in rain100l:DIR) or --clean DIR")
    if (wanted.figure6 is None) != (images is None):
        raise UsageError("--figure6 PNG and --images DIR go together: the photographs that it shows")
    if picked and wanted.figure6 is None and wanted.figure7 is None:
        raise UsageError("--pick is for --figure6 and --figure7")
    if picked and wanted.figure6 is not None and wanted.figure7 is not None:
        raise UsageError("--pick cannot tell figure 6 from figure 7: draw one of them at a time")
    if len(set(wanted.figures)) < len(wanted.figures):
        raise UsageError("two figures cannot have the same name")


def _settings(models: Sequence[EvaluatedModel], wanted: _Wanted) -> dict[str, str]:
    """Model -> ablation, if table 2 is wanted and there is something to compare."""
    if not (wanted.table2 or wanted.tables):
        return {}
    settings = settings_of_table2(models)
    if wanted.table2 and not settings:
        raise UserError("table 2: none of the models is one of its four settings (GraNetConfig.ablations)")
    return settings if wanted.table2 or len(set(settings.values())) > 1 else {}


def _check_stages(models: Sequence[EvaluatedModel], wanted: _Wanted) -> None:
    for flag, what in (
        (wanted.table3, "--table3"),
        (wanted.figure6, "--figure6"),
        (wanted.figure7, "--figure7"),
    ):
        if flag:
            checkpoints(models, what)


def _measure(
    models: Sequence[EvaluatedModel],
    datasets: Sequence[Dataset],
    dry: Dataset | None,
    limit: int | None,
    wanted: _Wanted,
) -> EvaluationReport:
    stages = wanted.table3 or (wanted.tables and any(model.is_checkpoint for model in models))
    return EvaluationReport(
        models=[model.to_json() for model in models],
        data=measure_results(datasets, models, limit) if wanted.results else [],
        stages=measure_stages(datasets, models, limit) if stages else {},
        clean=measure_dry(dry, models, limit) if dry is not None else None,
    )


def _print(report: EvaluationReport, settings: dict[str, str], wanted: _Wanted) -> None:
    if report.data and (wanted.table1 or wanted.tables):
        print_table1(report.data)
    if report.data and settings:
        print_table2(report.data, settings)
    if not (wanted.table1 or wanted.table2 or wanted.tables):
        for evaluation in report.data:
            print_summary(evaluation)
    for name, evaluations in report.stages.items():
        print_table3(name, evaluations)
    if report.clean is not None:
        print_dry(report.clean)


def _draw_stages(
    models: Sequence[EvaluatedModel], path: Path | None, pictures: Sequence[ShownPicture], title: str
) -> None:
    if path is None:
        return
    model = checkpoints(models, title)[0]
    draw_stages(path, stages_of(pictures, model.open_stages(), title), f"{title}, {model.name}")
    say(f"wrote {path}")


def main() -> None:
    """Entry point of ``granet-eval``."""
    sys.exit(run_app(app))


if __name__ == "__main__":
    main()
