"""An attempt that measures or decodes for a long time is not taken for a stuck one."""

from pathlib import Path

import pytest

from runtime.archive.attempt import process_segment
from runtime.archive.dry import copy_if_dry
from runtime.archive.pass_engine import PassEngine
from runtime.archive.sign_of_life import SignOfLife
from tests.runtime.archive.recordings import made_job, make_recording, planned


def test_a_sign_is_given_when_it_is_due(tmp_path: Path) -> None:
    often, seldom = (SignOfLife(tmp_path / name, every) for name, every in (("a.mp4", 0.0), ("b.mp4", 1e6)))
    for _ in range(3):
        often.frame()
        seldom.frame()
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("a.part.alive", 3)]


@pytest.mark.parametrize("skip_dry", [False, True])
def test_the_files_of_an_attempt_grow_while_it_decodes_and_are_gone_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skip_dry: bool
) -> None:
    monkeypatch.setattr(SignOfLife.__init__, "__defaults__", (0.0,))
    job, file = made_job(tmp_path / "dst"), planned(make_recording(tmp_path / "a.mp4", 20))
    segment, seen = file.segments[0], set()
    frame = SignOfLife.frame

    def watched(life: SignOfLife) -> None:
        frame(life)
        seen.update(each.bytes for each in job.attempts_at(segment.key) if each.key.endswith(".alive"))

    monkeypatch.setattr(SignOfLife, "frame", watched)
    record = process_segment(job, file, segment, PassEngine(), skip_dry=skip_dry)
    assert max(seen) >= (20 if skip_dry else 10) and seen == set(range(1, max(seen) + 1))
    assert [each.key.rpartition("/")[2] for each in job.attempts_at(segment.key)] == [
        f"{segment.key}.json" if name == "json" else record.file for name in ("mp4", "json")
    ]


def test_a_dry_recording_gives_signs_while_all_of_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of a quiet street are a small file, and nothing else of the task changes meanwhile."""
    monkeypatch.setattr(SignOfLife.__init__, "__defaults__", (0.0,))
    job, seen = made_job(tmp_path / "dst"), list[int]()
    file = planned(make_recording(tmp_path / "a.mp4", 40))
    assert len(file.segments) > 1
    frame = SignOfLife.frame

    def watched(life: SignOfLife) -> None:
        frame(life)
        seen.append(sum(each.bytes for each in job.attempts_at(file.key)))

    monkeypatch.setattr(SignOfLife, "frame", watched)
    assert copy_if_dry(job, file, overwrite=False)
    assert seen == list(range(1, 41))
    assert not job.attempts_at(file.key)
