"""Specs of data sets: read without a file, and written without the user's folders."""

import pytest

from granet.data.specs import parse_spec, without_folders
from granet.errors import UserError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rain100l:/home/ann/sets/Rain100L", "rain100l:Rain100L"),
        ("clean:../photos", "clean:photos"),
        ("ddn:.", "ddn:."),
        ("drawn:8", "drawn:8"),
        ("pairs:/home/ann/a/rainy,b/clean", "pairs:rainy,clean"),
        ("synthetic:/home/ann/bsd?faults=0.2&split=all", "synthetic:bsd?faults=0.2&split=all"),
        ("synthetic:clean", "synthetic:clean"),
        ("synthetic:rain800:/home/ann/r?split=all", "synthetic:rain800:r?split=all"),
        ("synthetic:/home/a/b?streaks=pairs:/c/d,/e/f", "synthetic:b?streaks=pairs:d,f"),
        # Below {data} there are names of data sets alone.
        ("pairs:{data}/nitedr/rainy,{data}/nitedr/clean", "pairs:{data}/nitedr/rainy,{data}/nitedr/clean"),
        ("rain100l:{data}/../../home/ann", "rain100l:ann"),
        # What an older version, or another program, may have written.
        ("/home/ann/rain", "rain"),
        ("rain200:/home/ann/rain", "rain"),
    ],
)
def test_a_spec_for_others_has_no_folders(text: str, shown: str) -> None:
    assert without_folders(text) == shown == without_folders(shown)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rain100l", "is not a data set"),
        ("rain100l:", "is not a data set"),
        ("pairs:a", "expected two directories"),
        ("drawn:0", "expected a number of streets"),
        ("synthetic:?split=all", "expected heaviness=LOW-HIGH"),
        ("synthetic:a?heaviness=0.5-0.1", "expected LOW-HIGH"),
        ("synthetic:a?turned=0.2&lines=0.1&turned=0.9", "turned is given 2 times: give it once"),
        ("synthetic:a?streaks=pairs:b", "expected two directories"),
        ("synthetic:rain800:?split=all", "is not a data set"),
    ],
)
def test_a_malformed_spec_is_refused_without_its_files(text: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        parse_spec(text)
