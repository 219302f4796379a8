import math
from itertools import combinations
from pathlib import Path

import pytest

from calibration.pictures.examples import Example
from calibration.qdq.quantiser import Quantiser
from calibration.search.quality import Judge
from calibration.search.sensitivity import (
    Sensitivity,
    fewest_kept,
    measure_sensitivity,
    read_sensitivity,
    sensitivity_key,
    write_sensitivity,
)
from calibration.simulation import Simulation
from granet.errors import UserError
from tests.calibration import sample

LAYERS = ["fine.blocks.1.layers.1", "coarse.mask"]


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
    noise = {name: sum(record.noise[name]) for name in LAYERS}
    loud, quiet = sorted(LAYERS, key=lambda name: -noise[name])
    assert noise[loud] > noise[quiet] > 0
    much = math.ceil(2 * noise[loud] / noise[quiet])
    assert Sensitivity(key, {loud: 1, quiet: 1}, record.noise).order == [loud, quiet]
    assert Sensitivity(key, {loud: much, quiet: 1}, record.noise).order == [quiet, loud]
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


NOISE = {"a": 8.0, "b": 4.0, "c": 2.0, "d": 1.0, "e": 0.5}


@pytest.mark.parametrize("limit", [0.0, 0.6, 1.5, 3.5, 7.5, 20.0])
def test_no_smaller_set_would_do(limit: float) -> None:
    """Against all possible sets, for noise that adds up."""

    def within(kept: frozenset[str]) -> bool:
        return sum(power for name, power in NOISE.items() if name not in kept) <= limit

    found = fewest_kept(list(NOISE), frozenset(), within)
    assert found is not None and within(found)
    smaller = (frozenset(some) for some in combinations(NOISE, max(len(found) - 1, 0)))
    assert not found or not any(map(within, smaller))


def test_always_kept_layers_stay_and_an_impossible_budget_gives_none() -> None:
    found = fewest_kept(list(NOISE), frozenset({"e"}), lambda kept: {"a", "b"} <= kept)
    assert found == {"a", "b", "e"}
    assert fewest_kept(list(NOISE), frozenset(), lambda kept: False) is None
