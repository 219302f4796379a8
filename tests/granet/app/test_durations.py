import pytest

from granet.app.console import UsageError
from granet.app.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("90s", 90), ("1.5m", 90), ("2min", 120), ("2h", 7200), ("250ms", 0.25), ("1:30", 90),
        ("01:02:03.5", 3723.5), ("90:00", 5400), ("0", 0),
    ],
)  # fmt: skip
def test_durations_are_those_of_ffmpeg(text: str, seconds: float) -> None:
    assert parse_duration(text, "--start") == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "1d", "nan", "inf", "1:2:3:4", "1:70", "1:70:00", "1e3", "9" * 400]
)
def test_anything_else_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--start"):
        parse_duration(text, "--start")
