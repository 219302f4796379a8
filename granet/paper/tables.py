"""Prints evaluations on stdout: a summary, and tables 1 to 3 of the paper."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat

from rich.table import Table
from rich.text import Text

from granet.app.results import ResultConsole
from granet.config import GraNetConfig
from granet.evaluation.fixed_camera import STATIC_RULE, FixedCamera
from granet.evaluation.metrics import IDENTICAL_DB, METRICS, Metric, Quality
from granet.evaluation.scoring import RAINY, Evaluation
from granet.paper.published import TABLE_1, TABLE_2, TABLE_3

_WIDTH = 140
"""Width in characters if stdout is not a terminal, so that a table in a file is not truncated."""

_NONE = "-"


def print_summary(evaluation: Evaluation) -> None:
    """Prints means by both metrics and the worst picture: a line per subject, the rainy input first."""
    notes = ["PSNR in dB / SSIM on Y, averaged over the pictures"]
    _print_subjects(evaluation, f"{evaluation.title}, {evaluation.extent}", notes)


def print_dry(evaluation: Evaluation) -> None:
    """Prints the results of models for dry pictures: means by both metrics and the worst picture."""
    note = f"results compared with the dry pictures themselves; {IDENTICAL_DB:g} dB: unchanged"
    _print_subjects(evaluation, f"dry pictures: {evaluation.title}, {evaluation.extent}", [note])


def _print_subjects(evaluation: Evaluation, title: str, notes: Sequence[str]) -> None:
    table = _table(title, ["", *METRICS, "worst picture (paper)"])
    for subject in evaluation.subjects:
        row = evaluation.worst(subject, "paper")
        table.add_row(
            subject, *_means(evaluation, subject), f"{_both(row.scores[subject].paper)}  {row.name}"
        )
    _print(table, notes)


def print_table1(evaluations: Sequence[Evaluation]) -> None:
    """Prints table 1: data sets by methods, beside the published results of the data sets in the paper."""
    subjects = evaluations[0].subjects
    methods = ("NLEDN", "GraNet")
    head = ["data", "metric", *subjects, *(f"{method}\n(published)" for method in methods)]
    table = _table("table 1: PSNR / SSIM", head)
    for evaluation in evaluations:
        published = TABLE_1.get(evaluation.title, {})
        for where, metric in zip(_where(evaluation), METRICS, strict=False):
            table.add_row(
                where,
                metric,
                *(_mean(evaluation, subject, metric) for subject in subjects),
                *(_published(published.get(method), metric) for method in methods),
            )
        table.add_section()
    _print(table, _notes(evaluations))


def print_table2(evaluations: Sequence[Evaluation], settings: Mapping[str, str]) -> None:
    """Prints table 2: the ablations.

    Args:
        evaluations: one per data set, with all models.
        settings: settings by model (:func:`ablation_of`); models of other networks are left out.
    """
    names = list(GraNetConfig().ablations())
    table = _table(
        "table 2: PSNR / SSIM", ["data", "setting", "model", *METRICS, "published\n(metric paper)"]
    )
    for evaluation in evaluations:
        published = TABLE_2.get(evaluation.title, {})
        where = _where(evaluation)
        table.add_row(next(where), RAINY, "", *_means(evaluation, RAINY), _NONE)
        for name in names:
            models = [model for model, setting in settings.items() if setting == name]
            reference = _published(published.get(name), "paper")
            for model in models:
                table.add_row(next(where), name, model, *_means(evaluation, model), reference)
            if not models:
                table.add_row(next(where), name, "missing", _NONE, _NONE, reference)
        table.add_section()
    missing = [name for name in names if name not in settings.values()]
    notes = [f"missing: {', '.join(missing)}; name a checkpoint of each with --ckpt"] if missing else []
    _print(table, [*notes, *_notes(evaluations)])


def print_table3(model: str, evaluations: Sequence[Evaluation]) -> None:
    """Prints table 3: the coarse stage of one network, beside the rainy input and the fine result."""
    table = _table(
        f"table 3: PSNR / SSIM of the stages of {model}", ["data", "", *METRICS, "published\n(metric paper)"]
    )
    for evaluation in evaluations:
        published = TABLE_3.get(evaluation.title, {})
        for where, subject in zip(_where(evaluation), evaluation.subjects, strict=False):
            table.add_row(
                where,
                subject,
                *_means(evaluation, subject),
                _published(published.get(subject), "paper"),
            )
        table.add_section()
    mask = "mask: compared with the added rain, rainy - clean; the paper does not state its ground truth"
    _print(table, [mask, *_notes(evaluations)])


def print_fixed_camera(clip: str, results: Mapping[str, FixedCamera]) -> None:
    """Prints how much flicker of real rain each model removes, one line for each."""
    head = ["model", "frames", "static\nshare", "deviation\nbefore", "after", "flicker\nremoved"]
    table = _table(f"fixed camera: {clip}", [*head, "PSNR to median\nbefore", "after"])
    for model, found in results.items():
        table.add_row(
            model,
            str(found.frames),
            f"{found.static_share:.1%}",
            f"{found.deviation_before:.3f}",
            f"{found.deviation_after:.3f}",
            f"{found.flicker_removed:.1%}",
            f"{found.psnr_before_db:.2f} dB",
            f"{found.psnr_after_db:.2f} dB",
        )
    deviation = "deviation: mean standard deviation of luma over time, in grey levels"
    _print(table, [deviation, "median: of the clip over time, before", STATIC_RULE])


def ablation_of(config: GraNetConfig) -> str | None:
    """The setting of table 2 that a network has; ``None`` if it has none of them.

    ``context`` has no effect without a fine stage, so it is ignored there.
    """

    def parts(config: GraNetConfig) -> tuple[bool, bool, bool]:
        return config.region_aware, config.fine_stage, config.context and config.fine_stage

    settings = {parts(setting): name for name, setting in GraNetConfig().ablations().items()}
    return settings.get(parts(config))


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(*columns, title=Text(title))
    for column in table.columns:
        column.overflow = "fold"  # a long name continues on the next line
        if str(column.header).startswith(METRICS):
            column.no_wrap = True
    return table


def _print(table: Table, notes: Iterable[str]) -> None:
    out = ResultConsole(_WIDTH)
    out.print(table)
    for note in notes:
        out.print(Text(note))


def _notes(evaluations: Iterable[Evaluation]) -> list[str]:
    partial = any(len(evaluation.rows) < evaluation.of for evaluation in evaluations)
    notes = ["published: results in the paper, by the metric `paper`, not measured here"]
    return [*notes, "published results are for whole test sets, these are not"] if partial else notes


def _where(evaluation: Evaluation) -> Iterator[str]:
    """Row labels of a data set: its title, the evaluated part, then empty ones."""
    return chain([evaluation.title, evaluation.extent], repeat(""))


def _means(evaluation: Evaluation, subject: str) -> list[str]:
    return [_mean(evaluation, subject, metric) for metric in METRICS]


def _mean(evaluation: Evaluation, subject: str, metric: Metric) -> str:
    return _both(evaluation.mean(subject, metric))


def _published(quality: Quality | None, metric: Metric) -> str:
    return _both(quality) if quality is not None and metric == "paper" else _NONE


def _both(quality: Quality) -> str:
    return f"{quality.psnr_db:.2f} / {quality.ssim:.4f}"
