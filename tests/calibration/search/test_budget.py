from itertools import combinations

import pytest

from calibration.search.budget import fewest_kept

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
