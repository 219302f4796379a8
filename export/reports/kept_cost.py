"""The slowdown by layers that stay in more bits: measured if the target is a CPU, else estimated."""

import tempfile
from collections.abc import Collection
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from calibration.search.meet_budget import Subject
from export.onnx.save import serialised
from runtime.checks.bench import BenchSubject, measure_bench

FRAMES = 10
"""Frames to time each of the two models with."""


@dataclass(frozen=True)
class KeptCost:
    """The slowdown of a model by the layers that the budget keeps.

    Attributes:
        times: its time relative to a model that keeps only the layers not worth quantising.
        by: the method, for display.
    """

    times: float
    by: str

    def to_json(self) -> dict[str, Any]:
        """JSON values by name."""
        return asdict(self)


def kept_cost(subject: Subject, kept: Collection[str]) -> KeptCost:
    """The slowdown by keeping ``kept`` instead of :attr:`Subject.spared`.

    For TensorRT only multiplications count: tensor cores do half as many per second in float16 as in eight
    bits. This is an upper bound, since memory and other layers take time too.

    Raises:
        UserError: if OpenVINO cannot run a model.
    """
    if subject.quantiser.target == "cpu" and find_spec("openvino") is not None:
        return _measured(subject, kept)
    plain, more = (1 + _share(subject, names) for names in (subject.spared, kept))
    return KeptCost(more / plain, "multiplications alone, float16 at half the rate of eight bits")


def _share(subject: Subject, names: Collection[str]) -> float:
    return sum(subject.counts[name] for name in names) / sum(subject.counts.values())


def _measured(subject: Subject, kept: Collection[str]) -> KeptCost:
    by = "OpenVINO on this machine, processor time"
    if set(kept) == subject.spared:
        return KeptCost(1.0, by)
    with tempfile.TemporaryDirectory() as folder:
        timed = []
        for name, layers in (("plain", subject.spared), ("kept", kept)):
            path = Path(folder) / f"{name}.onnx"
            path.write_bytes(serialised(subject.quantiser.make(layers), subject.metadata))
            timed.append(BenchSubject(path, "openvino", "cpu"))
        report = measure_bench(timed, frames=FRAMES)
    return KeptCost(report.results[1].cpu_ratio, by)
