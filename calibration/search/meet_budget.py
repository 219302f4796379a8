"""The steps that ``granet-export quantize`` and ``sensitivity`` share: check, measure, search, judge."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from calibration.pictures.examples import load_examples, load_hard
from calibration.qdq.layers import multiplications, too_small
from calibration.qdq.quantiser import LayerPrecision, Quantiser, Target
from calibration.ranges.float32_model import load_float32
from calibration.search.budget import fewest_kept
from calibration.search.quality import Judge, QualityReport
from calibration.search.sensitivity import (
    Sensitivity,
    measure_sensitivity,
    read_sensitivity,
    sensitivity_key,
    write_sensitivity,
)
from calibration.simulation import Simulation
from calibration.table import CalibrationTable, read_table, require_for
from granet.app.progress import Progress, labelled
from granet.errors import UserError
from runtime.artefacts.manifest import sha256_of
from runtime.artefacts.metadata import ModelMetadata
from runtime.artefacts.onnx_file import read_metadata

BUDGETS_DB = {"int8": 0.1, "fp8": 0.1, "fp16": 0.01}
"""Precision -> default limit of the mean drop in PSNR, in dB."""

FP16_LEAST_DB = 60.0
"""Least PSNR of float16 to float32 on every picture, in dB, unless the user sets a budget."""

STEP = 2
"""Number of further layers to keep if the complete model misses the budget that the search predicted."""


@dataclass
class Subject:
    """A model to quantise, with its pictures.

    Attributes:
        path: path of the float32 model.
        metadata: metadata of the model.
        table: calibration table; ``None`` if nothing is quantised.
        table_path: path of the table.
        quantiser: makes quantised models.
        judge: compares them with the float32 model.
        counts: layer name -> number of multiplications.
    """

    path: Path
    metadata: ModelMetadata
    table: CalibrationTable | None
    table_path: Path | None
    quantiser: Quantiser
    judge: Judge
    counts: Mapping[str, int]

    @property
    def spared(self) -> set[str]:
        """Layers that are too small to be worth quantising."""
        return too_small(self.counts)

    @property
    def table_sha256(self) -> str:
        """SHA-256 of the table; empty without one."""
        return "" if self.table_path is None else sha256_of(self.table_path)

    def simulation(self, model: onnx.ModelProto) -> Simulation:
        """A simulation of ``model`` as the target computes it."""
        return Simulation(model, self.metadata)


def open_subject(
    path: Path,
    table_path: Path | None,
    target: Target,
    precision: LayerPrecision,
    data: str | None,
    images: Path | None,
    count: int,
    progress: Progress,
) -> Subject:
    """Checks all inputs, then runs the float32 model.

    Raises:
        UserError: if the model was not made by granet-export, is not float32, is already quantised or has
            an old opset, if the table is damaged or of another model, or if pictures cannot be read.
    """
    metadata = read_metadata(path)
    model = load_float32(path, metadata)
    table = None
    if table_path is not None:
        table = read_table(table_path)
        require_for(table, path)
    elif precision != "fp16":
        raise UserError(f"--table is missing: make a table: granet-export calibrate {path} --images DIR")
    quantiser = Quantiser(model, table.ranges if table else {}, target, precision)
    examples, hard = load_examples(metadata, data, images, count), load_hard(metadata)
    judge = Judge(Simulation(model, metadata), examples, hard, labelled(progress, "float32"))
    counts = multiplications(model, quantiser.layers, examples[0].rainy)
    return Subject(path, metadata, table, table_path, quantiser, judge, counts)


def measured(subject: Subject, record_path: Path | None, progress: Progress) -> Sensitivity:
    """Measures the sensitivity of all layers that ``record_path`` does not contain yet."""
    quantiser, judge = subject.quantiser, subject.judge
    key = sensitivity_key(quantiser, judge, sha256_of(subject.path), subject.table_sha256)
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
    """

    model: onnx.ModelProto
    kept: tuple[str, ...]
    kept_share: float
    report: QualityReport

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
    always: Collection[str],
    budget_db: float | None,
    record_path: Path | None,
    progress: Progress,
) -> Result:
    """Makes the quantised model that keeps as few layers as the budget allows.

    The first try keeps ``always`` and the layers that are too small. If it misses the budget, the next one
    keeps the layers that the search finds, and each further one :data:`STEP` more, until the complete model,
    rounded and by both metrics, meets the budget. ``budget_db`` of ``None`` is the default of the precision.
    """
    always = subject.spared | set(always)
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
            return result
        kept, more = kept | set(more[:STEP]), more[STEP:]


def quantised_metadata(subject: Subject, result: Result) -> ModelMetadata:
    """The metadata of the quantised file: its origin, and the layers that it keeps."""
    quantiser, table = subject.quantiser, subject.table
    return replace(
        subject.metadata,
        precision=quantiser.precision,
        quantisation={
            "target": quantiser.target,
            "elsewhere": quantiser.elsewhere,
            "model": subject.path.name,
            "model_sha256": sha256_of(subject.path),
            "table_sha256": subject.table_sha256,
            "method": table.method if table else "",
            "calibrated_on": len(table.images) if table else 0,
            "kept": list(result.kept),
            "arithmetic_kept": round(result.kept_share, 4),
            "budget_db": result.report.budget_db,
        },
    )
