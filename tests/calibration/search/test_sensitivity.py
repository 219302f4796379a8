from pathlib import Path

import pytest

from calibration.pictures.examples import Example
from calibration.qdq.quantiser import Quantiser
from calibration.search.quality import Judge
from calibration.search.sensitivity import (
    Sensitivity,
    measure_sensitivity,
    read_sensitivity,
    sensitivity_key,
    write_sensitivity,
)
from calibration.simulation import Simulation
from granet.errors import UserError
from tests.calibration import sample

LAYERS = ["coarse.mask", "fine.blocks.1.layers.1"]


def test_it_continues_where_it_was_interrupted_and_ranks_by_noise_a_multiplication(tmp_path: Path) -> None:
    quantiser = Quantiser(sample.model(), sample.ranges(), "tensorrt")
    examples = [Example("drawn", picture) for picture in sample.pictures(1)]
    judge = Judge(Simulation(sample.model(), sample.metadata()), examples)
    key = sensitivity_key(quantiser, judge, "m" * 64, "t" * 64)
    path = tmp_path / "s.json"

    def interrupted(record: Sensitivity) -> None:
        write_sensitivity(path, record)
        raise KeyboardInterrupt

    empty = Sensitivity(key, {LAYERS[0]: 10, LAYERS[1]: 40}, {})
    with pytest.raises(KeyboardInterrupt):
        measure_sensitivity(quantiser, sample.metadata(), judge, empty, LAYERS, interrupted)
    known = read_sensitivity(path, key)
    assert list(known.noise) == LAYERS[:1]
    saved: list[Sensitivity] = []
    record = measure_sensitivity(quantiser, sample.metadata(), judge, known, LAYERS, saved.append)
    assert len(saved) == 1  # the other one was not measured again
    assert record.noise[LAYERS[0]] == known.noise[LAYERS[0]]
    # The mask head produces the mask that is subtracted; a dense layer is only one of twenty.
    assert sum(record.noise[LAYERS[0]]) > 5 * sum(record.noise[LAYERS[1]]) > 0
    assert record.order == LAYERS
    assert record.share(LAYERS[:1]) == 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the sensitivity file is damaged (it is not valid JSON: input data was truncated): remove it"),
        ("[" * 100_000, "the sensitivity file is damaged (expected a JSON object, got a list): remove it"),
        ('{"weights": 1}', "not a sensitivity file: remove it"),
        (
            '{"format": 1, "key": {}}',
            "the sensitivity file is damaged (multiplications is missing): remove it",
        ),
        (
            '{"format": 1, "key": {}, "multiplications": {"a": 0.5}, "noise": {}}',
            "(multiplications[...]: expected an integer, got a number): remove it",
        ),
        (
            '{"format": 1, "key": {}, "multiplications": {}, "noise": {"a": [1, null]}}',
            "(noise[...][1]: expected a finite number, got null): remove it",
        ),
        (
            '{"format": 1, "key": {}, "multiplications": {}, "noise": {"a": [NaN]}}',
            "it is not valid JSON: invalid character",
        ),
        ('{"format": 7}', "a sensitivity file of format 7, this version reads 1: remove it"),
        (
            '{"format": 1, "key": {"model_sha256": "b"}, "multiplications": {}, "noise": {}}',
            "measured with another model: remove it",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_sensitivity(path, {"model_sha256": "a"})
    assert str(caught.value).startswith(str(path)) and message in str(caught.value)
