"""What layers kept in more bits cost in speed: measured where the target is a CPU, else estimated."""

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
"""That each of the two models is timed with."""


@dataclass(frozen=True)
class KeptCost:
    """How much slower a model is for the layers that the budget keeps.

    Attributes:
        times: its time over that of the model that keeps only what is not worth quantising.
        by: how that was found, for people.
    """

    times: float
    by: str

    def to_json(self) -> dict[str, Any]:
        """JSON values by name."""
        return asdict(self)


def kept_cost(subject: Subject, kept: Collection[str]) -> KeptCost:
    """The cost of ``kept`` over :attr:`Subject.spared`.

    For TensorRT it is that of the multiplications alone, of which tensor cores do half as many a second in
    float16 as in eight bits: an upper bound where memory or other layers take the time.

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
