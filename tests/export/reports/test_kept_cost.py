"""The cost of kept layers: arithmetic for TensorRT, measured time for a CPU."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from calibration.qdq.layers import multiplications
from calibration.qdq.quantiser import Quantiser, Target
from calibration.search.meet_budget import Subject
from export.reports.kept_cost import kept_cost
from runtime.artefacts.artefact import Artefact, Model
from tests.calibration import sample


def subject(target: Target) -> Subject:
    """The subject of the sample model; quality is not measured here."""
    model = sample.model()
    quantiser = Quantiser(model, sample.ranges(), target)
    counts = multiplications(model, quantiser.layers, np.zeros((*sample.SIZE, 3), np.uint8))
    file: Model = Artefact(Path("lite.onnx"), b"", sample.metadata())
    return Subject(file, None, quantiser, cast(Any, None), counts)


def test_for_tensorrt_a_kept_layer_takes_twice_its_time() -> None:
    made = subject("tensorrt")
    everything = {layer.name for layer in made.quantiser.layers}
    share = sum(made.counts[name] for name in made.spared) / sum(made.counts.values())
    assert kept_cost(made, everything).times == pytest.approx(2 / (1 + share))
    assert kept_cost(made, made.spared).times == 1.0


def test_on_a_cpu_both_models_are_run() -> None:
    pytest.importorskip("openvino", reason="it is what the CPU's models are timed with")
    made = subject("cpu")
    everything = {layer.name for layer in made.quantiser.layers}
    cost = kept_cost(made, everything)
    assert cost.times > 0 and "OpenVINO" in cost.by
    assert kept_cost(made, made.spared).times == 1.0
