"""What ``granet-export quantize`` and ``sensitivity`` share: inputs checked, layers measured and searched."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from calibration.pictures.examples import load_examples, load_hard
from calibration.qdq.layers import multiplications, too_small
from calibration.qdq.quantiser import Precision, Quantiser, Target
from calibration.ranges.instrumented_graph import is_quantised
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
from granet.errors import UserError
from runtime.artefacts.manifest import sha256_of
from runtime.artefacts.metadata import ModelMetadata
from runtime.artefacts.onnx_file import read_metadata

Progress = Callable[[float, str], None]

BUDGETS_DB = {"int8": 0.1, "fp8": 0.1, "fp16": 0.01}
"""Drop in PSNR that is allowed in the mean unless the user says another."""

FP16_LEAST_DB = 60.0
"""PSNR to float32 that float16 has on every picture, unless the user says a budget."""

STEP = 2
"""Layers that are kept in addition when the whole model misses what the search promised."""


@dataclass
class Subject:
    """A model that is to be quantised, with its pictures.

    Attributes:
        path: of the float32 model.
        metadata: what it says of itself.
        table: its ranges; ``None`` where nothing is quantised.
        table_path: of the table.
        quantiser: makes quantised models of it.
        judge: holds them against the float32 model.
        counts: multiplications of each layer.
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
        """Layers that are not worth quantising."""
        return too_small(self.counts)

    @property
    def table_sha256(self) -> str:
        """Hash of the table; empty without one."""
        return "" if self.table_path is None else sha256_of(self.table_path)

    def simulation(self, model: onnx.ModelProto) -> Simulation:
        """``model`` as the target computes it."""
        return Simulation(model, self.metadata)


def open_subject(
    path: Path,
    table_path: Path | None,
    target: Target,
    precision: Precision,
    data: str | None,
    images: Path | None,
    count: int,
    progress: Progress,
) -> Subject:
    """Checks everything that can be checked before anything is computed, and runs the float32 model.

    Raises:
        UserError: one line for a model that is none of ours, not float32, quantised already or of an old
            opset, a table that is damaged or of another model, or pictures that cannot be read.
    """
    metadata = read_metadata(path)
    try:
        model = onnx.load(path)
    except (OSError, DecodeError) as error:
        raise UserError(f"{path}: cannot be read as ONNX: export it again") from error
    if metadata.precision in ("int8", "fp8") or is_quantised(model):
        raise UserError(f"{path}: is quantised already: give the float32 model that it was made of")
    if metadata.precision != "fp32":
        raise UserError(
            f"{path}: computes in {metadata.precision}: give the float32 model "
            "(granet-export onnx without --fp16); quantize makes float16 where the target wants it"
        )
    table = None
    if table_path is not None:
        table = read_table(table_path)
        require_for(table, path)
    elif precision != "fp16":
        raise UserError(f"--table is missing: make one with granet-export calibrate {path} --images DIR")
    quantiser = Quantiser(model, table.ranges if table else {}, target, precision)
    examples, hard = load_examples(metadata, data, images, count), load_hard(metadata)
    total, done = len(examples) + len(hard), 0

    def advance(name: str) -> None:
        nonlocal done
        done += 1
        progress(done / total, f"float32, {name}")

    judge = Judge(Simulation(model, metadata), examples, hard, advance)
    counts = multiplications(model, quantiser.layers, examples[0].rainy)
    return Subject(path, metadata, table, table_path, quantiser, judge, counts)


def measured(subject: Subject, record_path: Path | None, progress: Progress) -> Sensitivity:
    """The sensitivity of all layers; what ``record_path`` has of it already is not measured again."""
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
        lambda done, last: progress(done / len(names), f"{done} of {len(names)} layers, {last}"),
    )


def search(
    subject: Subject, record: Sensitivity, always: Collection[str], budget_db: float, progress: Progress
) -> frozenset[str]:
    """The layers to keep so that the expected drop is within the budget.

    Raises:
        UserError: if not even the model with all layers kept is.
    """
    layers = len(subject.quantiser.layers)
    runs = 0

    def within(kept: frozenset[str]) -> bool:
        nonlocal runs
        runs += 1
        progress(min(1.0, runs / (2 + layers.bit_length())), f"{len(kept)} of {layers} layers kept")
        noise = subject.judge.noise(subject.simulation(subject.quantiser.draft(kept)))
        return subject.judge.within(noise, budget_db)

    kept = fewest_kept(record.order, frozenset(always), within)
    if kept is None:
        raise UserError("the search found no set of layers that meets the budget: the model itself misses it")
    return kept


@dataclass(frozen=True)
class Result:
    """A quantised model that was judged.

    Attributes:
        model: as the target runs it.
        kept: layers that are not quantised, in the order of the network.
        kept_share: their share of the convolutions' arithmetic.
        report: what it costs.
    """

    model: onnx.ModelProto
    kept: tuple[str, ...]
    kept_share: float
    report: QualityReport

    def to_json(self) -> dict[str, Any]:
        """Without the model."""
        return {
            "kept": list(self.kept),
            "arithmetic_kept": round(self.kept_share, 4),
            **self.report.to_json(),
        }


def judged(subject: Subject, kept: Collection[str], budget_db: float | None, progress: Progress) -> Result:
    """Makes the model that keeps ``kept`` and measures what it costs; no budget is that of the precision."""
    quantiser, judge = subject.quantiser, subject.judge
    least = FP16_LEAST_DB if budget_db is None and quantiser.precision == "fp16" else 0.0
    budget_db = BUDGETS_DB[quantiser.precision] if budget_db is None else budget_db
    model = quantiser.make(kept)
    total, done = len(judge.examples) + len(load_hard(subject.metadata)), 0

    def advance(name: str) -> None:
        nonlocal done
        done += 1
        progress(done / total, name)

    report = judge.report(subject.simulation(model), budget_db, advance, least)
    names = tuple(layer.name for layer in quantiser.layers if layer.name in kept)
    share = sum(subject.counts[name] for name in names) / sum(subject.counts.values())
    return Result(model, names, share, report)


def meet_budget(
    subject: Subject,
    always: Collection[str],
    budget_db: float | None,
    record_path: Path | None,
    progress: Callable[[str, float, str], None],
) -> Result:
    """The quantised model that keeps as few layers as the budget allows; ``None`` is that of the precision.

    First with ``always`` and the layers that are not worth it; if that misses, with what the search says,
    and then with a few more while the whole model, rounded and by both metrics, still misses.
    """
    always = subject.spared | set(always)
    result = judged(subject, always, budget_db, lambda share, last: progress("plain", share, last))
    if not result.report.misses() or subject.quantiser.precision == "fp16":
        return result
    record = measured(subject, record_path, lambda share, last: progress("sensitivity", share, last))
    allowed = result.report.budget_db
    kept = search(subject, record, always, allowed, lambda share, last: progress("search", share, last))
    more = [name for name in record.order if name not in kept]
    while True:
        result = judged(subject, kept, budget_db, lambda share, last: progress("check", share, last))
        if not result.report.misses() or not more:
            return result
        kept, more = kept | set(more[:STEP]), more[STEP:]


def quantised_metadata(subject: Subject, result: Result) -> ModelMetadata:
    """What the quantised file says about itself: where it comes from, and what it keeps."""
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
