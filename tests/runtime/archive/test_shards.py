import pytest

from granet.app.console import UsageError
from runtime.archive.plan import Settings, segment_key
from runtime.archive.shards import Shard, parse_shard
from runtime.sources.video.span import Span


def test_shares_divide_the_segments_evenly_and_completely() -> None:
    settings = Settings("m", "0" * 64, "1", 60.0)
    keys = [segment_key("file", Span(i, i + 1), settings) for i in range(4000)]
    shares = [{key for key in keys if Shard(index, 7).has(key)} for index in range(7)]
    assert sum(map(len, shares)) == len(set().union(*shares)) == 4000
    assert min(map(len, shares)) > 450 and max(map(len, shares)) < 700


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("2/5", {}, Shard(2, 5)),
        ("0/1", {"JOB_COMPLETION_INDEX": "7", "JOB_COMPLETIONS": "9"}, Shard(0, 1)),
        (None, {"JOB_COMPLETION_INDEX": "7", "JOB_COMPLETIONS": "9"}, Shard(7, 9)),
        (None, {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}, Shard(3, 4)),
        (
            None,
            {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"},
            Shard(0, 4),
        ),
    ],
)
def test_the_share_comes_from_the_option_or_the_scheduler(
    text: str | None, environment: dict[str, str], expected: Shard
) -> None:
    assert parse_shard(text, environment) == expected


@pytest.mark.parametrize("text", ["", "1", "a/b", "-1/4", "4/4", "0/0", "1/2/3"])
def test_a_malformed_share_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        parse_shard(text, {})


@pytest.mark.parametrize("environment", [{}, {"JOB_COMPLETION_INDEX": "1"}, {"SLURM_ARRAY_TASK_ID": "x"}])
def test_without_a_number_of_shares_nothing_is_guessed(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="--shard I/N"):
        parse_shard(None, environment)


def test_an_array_with_gaps_is_refused_and_says_what_to_do() -> None:
    environment = {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "1"}
    with pytest.raises(UsageError, match=r"TASK_COUNT=3, from 1: .* without gaps, or give --shard"):
        parse_shard(None, environment)
