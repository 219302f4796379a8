"""Usage errors in the words of this project, whichever library found them."""

import pytest

from granet.app.usage_words import plain


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "Invalid value for '--max-frames': Input should be greater than or equal to 1",
            "--max-frames: give 1 or more",
        ),
        ("Invalid value for '--max-frames': 0 is not in the range x>=1", "--max-frames: give 1 or more"),
        ("Invalid value for '--share': 7 is not in the range 0<=x<=1", "--share: give a value from 0 to 1"),
        (
            "Invalid value for '--batch': Input should be a valid integer, unable to parse string",
            "--batch: give a whole number",
        ),
        ("Invalid value for '--batch': 'two' is not a valid integer", "--batch: give a whole number"),
        ("Invalid value for '--lr': Input should be a valid number, got a string", "--lr: give a number"),
        (
            "Invalid value for '--preset': Value error, 'big' is not one of 'paper', 'base'",
            "--preset: big is not a choice; choose one of paper, base",
        ),
        (
            "Invalid value for '--preset': 'big' is not one of 'paper', 'base'",
            "--preset: big is not a choice; choose one of paper, base",
        ),
        ("No such option: --ouput", "No such option: --ouput"),
    ],
)
def test_a_value_that_is_refused_gives_plain_words(message: str, words: str) -> None:
    assert plain(message) == words
