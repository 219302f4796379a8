"""The steps that ``granet-export quantize`` and ``sensitivity`` share: check, measure, search, judge."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from calibration.pictures.examples import load_examples, load_hard
from calibration.qdq.layers import chosen, multiplications, require_layers
from calibration.qdq.moments import input_moments
from calibration.qdq.quantiser import LayerPrecision, Quantiser, Target
from calibration.ranges.float32_model import load_float32
from calibration.search.quality import Judge, QualityReport
from calibration.search.sensitivity import (
    ROUNDING,
    Sensitivity,
    fewest_kept,
    measure_sensitivity,
    read_sensitivity,
    sensitivity_key,
    write_sensitivity,
)
from calibration.simulation import Simulation
from calibration.table import Table, require_for
from granet.app.progress import Progress, labelled
from granet.errors import UserError
from runtime.artefacts.artefact import Model
from runtime.artefacts.metadata import ModelMetadata

PICTURES = 8
"""Pictures that weights are rounded by and the drop is measured on, unless the user says another number."""

BUDGETS_DB = {"int8": 0.1, "fp8": 0.1, "fp16": 0.01}
"""Precision -> default limit of the mean drop in PSNR, in dB."""

FP16_LEAST_DB = 60.0
"""Least PSNR of float16 to float32 on every picture, in dB, unless the user sets a budget."""

STEP = 2
"""Number of further layers to keep if the complete model misses the budget that the search predicted."""


@dataclass(frozen=True)
class Judging:
    """How to quantise a model, and how to judge the result.

    Attributes:
        target: the runtime that the file is for.
        precision: precision of the quantised layers.
        data: a data set with ground truth to measure the drop on; ``None`` for none.
        images: directory of rain pictures without ground truth; ``None`` for none. If both are ``None``, rain
            is drawn.
        count: maximum number of pictures.
        keep: layers, or prefixes of layers, that are never quantised.
    """

    target: Target
    precision: LayerPrecision
    data: str | None = None
    images: Path | None = None
    count: int = PICTURES
    keep: tuple[str, ...] = ()


@dataclass
class Subject:
    """A model to quantise, with its pictures.

    Attributes:
        model: the float32 model.
        table: its calibration table; ``None`` if no layer is quantised.
        quantiser: makes quantised models of it.
        judge: compares them with the float32 model.
        counts: number of multiplications of each layer.
        always: layers that the user asked to keep.
    """

    model: Model
    table: Table | None
    quantiser: Quantiser
    judge: Judge
    counts: Mapping[str, int]
    always: frozenset[str] = frozenset()

    @property
    def metadata(self) -> ModelMetadata:
        """Metadata of the float32 model."""
        return self.model.metadata

    @property
    def spared(self) -> set[str]:
        """Layers that are never quantised."""
        return self.quantiser.spared

    @property
    def table_sha256(self) -> str:
        """Hash of the table; empty without one."""
        return "" if self.table is None else self.table.sha256

    def simulation(self, model: onnx.ModelProto) -> Simulation:
        """A simulation of ``model`` as the target computes it."""
        return Simulation(model, self.metadata)


def require_quantisable(
    model: Model, table: Table | None, judging: Judging, record: Path | None = None
) -> None:
    """Checks, before anything is computed, that a model can be quantised.

    Args:
        model: the model to quantise.
        table: its calibration table.
        judging: how to quantise and judge it.
        record: file of ``granet-export sensitivity`` to use if it exists.

    Raises:
        UserError: if the model is damaged, not float32, quantised already or of an old opset, if the table or
            the record is of another model, or if a layer to keep does not exist.
    """
    proto = load_float32(model)
    if table is not None:
        require_for(table, model)
    require_layers(Quantiser(proto, {}, judging.target, judging.precision).layers, judging.keep)
    if record is not None and record.exists():
        tables = "" if table is None else table.sha256
        made = {"model_sha256": model.sha256, "table_sha256": tables, "rounding": ROUNDING}
        read_sensitivity(record, made | {"target": judging.target, "precision": judging.precision})


def open_subject(model: Model, table: Table | None, judging: Judging, progress: Progress) -> Subject:
    """Reads the pictures and runs the float32 model on them; call :func:`require_quantisable` first.

    Raises:
        UserError: if a picture or a tensor's range is missing, or the table is of another model.
    """
    if table is not None:
        require_for(table, model)
    proto, ranges = load_float32(model), table.metadata.ranges if table else {}
    quantiser = Quantiser(proto, ranges, judging.target, judging.precision)
    examples = load_examples(model.metadata, judging.data, judging.images, judging.count)
    hard = load_hard(model.metadata)
    judge = Judge(Simulation(proto, model.metadata), examples, hard, labelled(progress, "float32"))
    counts = multiplications(proto, quantiser.layers, examples[0].rainy)
    if judging.precision != "fp16":
        rounded = [layer for layer in quantiser.layers if layer.name not in quantiser.spared]
        pictures = [example.rainy for example in examples]
        shown = labelled(progress, "observing")
        moments = input_moments(quantiser.equalised, rounded, pictures, model.metadata.colour, shown)
        quantiser = replace(quantiser, moments=moments)
    always = frozenset(chosen(quantiser.layers, judging.keep))
    return Subject(model, table, quantiser, judge, counts, always)


def measured(subject: Subject, record_path: Path | None, progress: Progress) -> Sensitivity:
    """Measures the sensitivity of all layers that ``record_path`` does not contain yet."""
    quantiser, judge = subject.quantiser, subject.judge
    key = sensitivity_key(quantiser, judge, subject.model.sha256, subject.table_sha256)
    if record_path is not None and record_path.exists():
        known = read_sensitivity(record_path, key)
    else:
        known = Sensitivity(key, subject.counts, {})
    names = [layer.name for layer in quantiser.layers if layer.name not in subject.spared]
    return measure_sensitivity(
        quantiser,
        subject.metadata,
        judge,
        known,
        names,
        lambda record: None if record_path is None else write_sensitivity(record_path, record),
        progress,
    )


def search(
    subject: Subject, record: Sensitivity, always: Collection[str], budget_db: float, progress: Progress
) -> frozenset[str]:
    """Finds the layers to keep so that the expected drop is within the budget.

    Raises:
        UserError: if even the model with all layers kept misses the budget.
    """
    layers = len(subject.quantiser.layers)
    runs, most = 0, 2 + layers.bit_length()

    def within(kept: frozenset[str]) -> bool:
        nonlocal runs
        runs += 1
        progress(min(runs, most), most, f"{len(kept)} of {layers} layers kept")
        noise = subject.judge.noise(subject.simulation(subject.quantiser.draft(kept)))
        return subject.judge.within(noise, budget_db)

    kept = fewest_kept(record.order, frozenset(always), within)
    if kept is None:
        raise UserError("no set of layers meets the budget, not even all of them: raise the budget")
    return kept


@dataclass(frozen=True)
class Result:
    """A quantised model and its quality.

    Attributes:
        model: the model as the target runs it.
        kept: layers that are not quantised, in network order.
        kept_share: their share of the convolutions' arithmetic.
        report: its quality.
        searched: whether layers had to be chosen by their sensitivity.
    """

    model: onnx.ModelProto
    kept: tuple[str, ...]
    kept_share: float
    report: QualityReport
    searched: bool = False

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values, without the model."""
        return {
            "kept": list(self.kept),
            "arithmetic_kept": round(self.kept_share, 4),
            **self.report.to_json(),
        }


def judged(subject: Subject, kept: Collection[str], budget_db: float | None, progress: Progress) -> Result:
    """Makes the model that keeps ``kept`` and measures its quality.

    ``budget_db`` of ``None`` is the default of the precision, see :data:`BUDGETS_DB`.
    """
    quantiser, judge = subject.quantiser, subject.judge
    least = FP16_LEAST_DB if budget_db is None and quantiser.precision == "fp16" else 0.0
    budget_db = BUDGETS_DB[quantiser.precision] if budget_db is None else budget_db
    model = quantiser.make(kept)
    report = judge.report(subject.simulation(model), budget_db, progress, least)
    names = tuple(layer.name for layer in quantiser.layers if layer.name in kept)
    share = sum(subject.counts[name] for name in names) / sum(subject.counts.values())
    return Result(model, names, share, report)


def meet_budget(
    subject: Subject,
    budget_db: float | None,
    record_path: Path | None,
    progress: Progress,
) -> Result:
    """Makes the quantised model that keeps as few layers as the budget allows.

    The first try keeps the layers that the user named and those that are never quantised. If it misses the
    budget, a search adds layers. A few more are added while the complete model, with rounding and by both
    metrics, still misses.
    """
    always = subject.spared | subject.always
    result = judged(subject, always, budget_db, labelled(progress, "plain"))
    if not result.report.misses() or subject.quantiser.precision == "fp16":
        return result
    record = measured(subject, record_path, labelled(progress, "sensitivity"))
    allowed = result.report.budget_db
    kept = search(subject, record, always, allowed, labelled(progress, "search"))
    more = [name for name in record.order if name not in kept]
    while True:
        result = judged(subject, kept, budget_db, labelled(progress, "check"))
        if not result.report.misses() or not more:
            return replace(result, searched=True)
        kept, more = kept | set(more[:STEP]), more[STEP:]


def quantised_metadata(subject: Subject, result: Result) -> ModelMetadata:
    """Metadata of the quantised file: its origin and the layers it keeps."""
    quantiser, table = subject.quantiser, subject.table and subject.table.metadata
    return replace(
        subject.metadata,
        precision=quantiser.precision,
        quantisation={
            "target": quantiser.target,
            "rounding": ROUNDING,
            "elsewhere": quantiser.elsewhere,
            "model": subject.model.path.name,
            "model_sha256": subject.model.sha256,
            "table_sha256": subject.table_sha256,
            "method": table.method if table else "",
            "calibrated_on": len(table.images) if table else 0,
            "kept": list(result.kept),
            "arithmetic_kept": round(result.kept_share, 4),
            "budget_db": result.report.budget_db,
        },
    )
