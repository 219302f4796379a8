import os
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from granet.errors import UserError
from granet.weights.renames import Rename
from runtime.archive.inputs import Selection, find_recordings
from runtime.archive.plan import Plan, PlanWriter, Settings
from runtime.archive.planning import make_plan, plan_file
from runtime.archive.storage.local import publish_once
from runtime.sinks.video.encoding import Encoding
from tests.runtime.archive.recordings import SETTINGS, made_job, make_recording


def recordings(root: Path) -> list[object]:
    return list(find_recordings(str(root), Selection()))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b/b.mkv"):
        make_recording(tmp_path / "src" / name, 20)
    return tmp_path / "src"


def planned(source: Path, tmp_path: Path, said: list[str], settings: Settings = SETTINGS) -> Plan:
    found = find_recordings(str(source), Selection())
    return make_plan(made_job(tmp_path / "dst", settings), found, settings, str(source), said.append)


def test_a_plan_reads_back_as_it_was_written(source: Path, tmp_path: Path) -> None:
    files = [plan_file(each, SETTINGS) for each in find_recordings(str(source), Selection())]
    publish_once(tmp_path / "plan", PlanWriter(SETTINGS, "src").lines(files))
    plan = Plan(tmp_path / "plan")
    assert list(plan) == files and (plan.settings, plan.source, plan.files) == (SETTINGS, "src", 2)
    assert list(plan) == files  # a second time: nothing is kept in memory


@pytest.mark.parametrize("what", ["frames", "cut", "empty", "line"])
def test_a_plan_that_was_edited_is_refused(source: Path, tmp_path: Path, what: str) -> None:
    path = planned(source, tmp_path, []).path
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    path.chmod(0o644)
    path.write_bytes(
        {
            "frames": content.replace(b'"frames":10', b'"frames":11', 1),
            "cut": content[: len(content) // 2],
            "empty": b"",
            "line": b"".join([lines[0], *lines[2:]]),
        }[what]
    )
    with pytest.raises(UserError, match="was changed or is incomplete"):
        Plan(path)


def test_the_same_source_has_the_same_plan(source: Path, tmp_path: Path) -> None:
    said: list[str] = []
    first, second = (planned(source, tmp_path, said) for _ in range(2))
    assert first.path == second.path and said == []


def test_a_new_recording_adds_a_plan_and_keeps_the_keys_of_the_others(source: Path, tmp_path: Path) -> None:
    said: list[str] = []
    before = {file.name: file for file in planned(source, tmp_path, said)}
    make_recording(source / "c.mp4", 20)
    plan = planned(source, tmp_path, said)
    assert len(said) == 1 and "1 recordings are new, changed or moved" in said[0]
    assert {file.name for file in plan} == {*before, "c.mp4"}
    assert all(file == before[file.name] for file in plan if file.name in before)


def test_a_source_that_was_moved_is_read_at_its_new_place(source: Path, tmp_path: Path) -> None:
    before = list(planned(source, tmp_path, []))
    moved = source.rename(tmp_path / "other mount")
    said: list[str] = []
    after = list(planned(moved, tmp_path, said))
    assert len(said) == 1
    assert [file.path for file in after] == [str(moved / file.name) for file in before]
    assert [file.segments for file in after] == [file.segments for file in before]  # work is not done again


def test_a_changed_recording_has_other_keys(source: Path, tmp_path: Path) -> None:
    before = {file.name: file for file in planned(source, tmp_path, [])}
    make_recording(source / "a.mp4", 30)
    after = {file.name: file for file in planned(source, tmp_path, [])}
    assert after["b/b.mkv"] == before["b/b.mkv"]
    old, new = ({segment.key for segment in each["a.mp4"].segments} for each in (before, after))
    assert not old & new


@pytest.mark.parametrize(
    "change",
    [
        {"model_sha256": "1" * 64},
        {"version": "2"},
        {"segment": 2.0},
        {"skip_dry": True},
        {"encoding": Encoding("hevc")},
        {"renames": (Rename.parse("old=new"),)},
    ],
)
def test_another_model_or_option_is_another_job(
    source: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    other = msgspec.structs.replace(SETTINGS, **change)
    assert other.job != SETTINGS.job
    keys = [
        {segment.key for file in planned(source, tmp_path, [], settings) for segment in file.segments}
        for settings in (SETTINGS, other)
    ]
    assert not keys[0] & keys[1]


def test_what_cannot_be_read_is_planned_with_its_problem(source: Path, tmp_path: Path) -> None:
    (source / "broken.mp4").write_bytes(b"no video at all" * 9)
    (source / "empty.mkv").write_bytes(b"")
    said: list[str] = []
    plan = planned(source, tmp_path, said)
    problems = {file.name for file in plan if file.problem}
    assert problems == {"broken.mp4", "empty.mkv"}
    assert planned(source, tmp_path, said).path == plan.path and said == []


@pytest.mark.parametrize(
    "change",
    [
        {"output": "../a.mp4"},
        {"output": "/tmp/a.mp4"},
        {"output": "other.mp4"},
        {"name": "../a.mp4", "output": "../a.mp4"},
        {"name": "b/../../a.mp4", "output": "b/../../a.mp4"},
        {"name": "/a.mp4", "output": "/a.mp4"},
        {"key": "../../../../outside"},
        {"key": ""},
        {"bytes": -1},
        {"segments": [{"key": "../x", "frames": 20}]},
        {"segments": [{"key": "0" * 24, "frames": -20}]},
        {"segments": [{"key": "0" * 24, "frames": 20, "start": 2**63}]},
        {"segments": [{"key": "0" * 24, "frames": 20, "seek": -(2**63) - 1}]},
        {"height": 10**9},
    ],
)
def test_a_plan_that_leads_out_of_its_destination_is_refused_though_its_checksum_is_right(
    source: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    path = planned(source, tmp_path, []).path
    head, first, second, _ = path.read_bytes().splitlines(keepends=True)
    edited = msgspec.json.encode({**msgspec.json.decode(first), **change}) + b"\n"
    body = head + edited + second
    path.chmod(0o644)
    path.write_bytes(body + msgspec.json.encode({"files": 2, "sha256": sha256(body).hexdigest()}) + b"\n")
    with pytest.raises(UserError, match="was changed or is incomplete") as refused:
        Plan(path)
    assert "\n" not in str(refused.value)


def test_names_of_every_kind_can_be_planned(source: Path, tmp_path: Path) -> None:
    odd = ["with space.mp4", "line\nbreak.mp4", "..dots.mp4", "…/größe ☔.mp4", "a...mp4", "-x.mkv"]
    for name in odd:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).hardlink_to(source / "a.mp4")
    (source / ".list.txt").write_text("\n".join(name for name in odd if "\n" not in name))
    assert {file.name for file in planned(source, tmp_path, [])} >= {*odd} - {"..dots.mp4"}
    dotted = find_recordings(str(source / ".list.txt"), Selection())
    plan = make_plan(made_job(tmp_path / "other"), dotted, SETTINGS, "list", print)
    assert "..dots.mp4" in {file.name for file in plan}


def test_a_recording_that_could_not_be_read_is_planned_when_it_can(source: Path, tmp_path: Path) -> None:
    """The file may be the same as before: its permission, or its storage, was at fault."""
    good = (source / "a.mp4").read_bytes()
    status = (source / "a.mp4").stat()
    (source / "a.mp4").write_bytes(b"no video" * 99)
    said: list[str] = []
    before = {file.name: file for file in planned(source, tmp_path, said)}
    assert before["a.mp4"].problem and not before["b/b.mkv"].problem
    (source / "a.mp4").write_bytes(good)
    os.utime(source / "a.mp4", ns=(status.st_atime_ns, status.st_mtime_ns))
    after = {file.name: file for file in planned(source, tmp_path, said)}
    assert not after["a.mp4"].problem and after["b/b.mkv"] == before["b/b.mkv"]
    assert len(said) == 1 and "1 recordings are new, changed or moved" in said[0]


def test_the_problem_of_an_unchanged_file_is_looked_at_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(video: object, seconds: float) -> object:
        raise UserError("a.mp4: cannot be read to its end: Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("runtime.archive.planning.index_video", broken)
        assert all(file.problem for file in planned(source, tmp_path, []))
    said: list[str] = []
    assert not any(file.problem for file in planned(source, tmp_path, said))
    assert len(said) == 1 and "2 recordings are new, changed or moved" in said[0]


def test_two_planners_at_once_get_one_plan(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other planner publishes between this one's look and its own publishing."""
    link, others = os.link, []

    def first(source_path: str, target: str) -> None:
        if not others:
            others.append(target)
            Path(target).write_bytes(Path(source_path).read_bytes())
        link(source_path, target)

    monkeypatch.setattr(os, "link", first)
    plan = planned(source, tmp_path, [])
    assert others and plan.files == 2
    assert not [path for path in plan.path.parent.iterdir() if path.name.startswith(".")]
