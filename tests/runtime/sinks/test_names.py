"""Names, links and permissions of what ``granet-run`` writes."""

import errno
import os
import stat
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.sinks.base import Sink
from runtime.sinks.open import open_sink, place_of
from runtime.sources.base import Source
from runtime.sources.open import open_source
from tests.media import make_clip, numbered, read_clip, write_picture


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def written(source: Source, target: Path, *, overwrite: bool = False) -> Sink:
    """A sink that has got every frame and is not finished."""
    sink = open_sink(str(target), source.info, print, window=False, overwrite=overwrite, limit=None)
    sink.start("bgr")
    for frame in source.frames("bgr"):
        sink.write(frame)
    return sink


def names_in(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


@pytest.fixture(params=["video", "picture", "pictures"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path, Path]:
    """An input, the output, and the file of the output that matters."""
    if request.param == "video":
        out = tmp_path / "out.mkv"
        return make_clip(tmp_path / "in.mp4", count=3), out, out
    if request.param == "picture":
        out = tmp_path / "out.png"
        return write_picture(tmp_path / "in.png", numbered(3)), out, out
    write_picture(tmp_path / "in" / "a.png", numbered(3))
    return tmp_path / "in", tmp_path / "out", tmp_path / "out" / "a.png"


@pytest.mark.parametrize("links", [True, False])
def test_of_two_runs_with_one_output_the_first_to_finish_has_the_name(
    kind: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Also where the file system has no hard links."""
    if not links:

        def refuse(*arguments: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr("os.link", refuse)
    source, target, file = kind
    with open_source(str(source), print) as one, open_source(str(source), print) as two:
        first, second = written(one, target), written(two, target)
        second.finish()
        content = file.read_bytes()
        with pytest.raises(UserError) as caught:
            first.finish()
        first.abort()
    part = target.with_name(f"out.part{target.suffix}")
    assert str(caught.value) == (
        f"{file}: was created by another program meanwhile; the output is kept as {part}"
    )
    assert file.read_bytes() == content
    kept = part if part.is_file() else part / "a.png"
    assert kept.stat().st_size > 0
    assert not target.with_name(f"out.part2{target.suffix}").exists()


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_overwrite_keeps_permissions_and_nobody_else_reads_the_part(
    kind: tuple[Path, Path, Path], mode: int
) -> None:
    source, target, file = kind
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"old")
    file.chmod(mode)
    with open_source(str(source), print) as frames:
        sink = written(frames, target, overwrite=True)
        for part in target.parent.glob("out.part.*"):
            assert mode_of(part) | mode == mode
        sink.finish()
    assert mode_of(file) == mode and file.read_bytes() != b"old"


def test_overwrite_writes_through_a_symbolic_link(kind: tuple[Path, Path, Path], tmp_path: Path) -> None:
    source, target, file = kind
    store = tmp_path / "store"
    store.mkdir()
    file.parent.mkdir(exist_ok=True)
    (store / "blob").write_bytes(b"old")
    (store / "blob").chmod(0o600)
    file.symlink_to(os.path.relpath(store / "blob", file.parent))
    with open_source(str(source), print) as frames:
        written(frames, target, overwrite=True).finish()
    assert file.is_symlink() and (store / "blob").read_bytes() != b"old"
    assert mode_of(store / "blob") == 0o600 and names_in(store) == ["blob"]


def test_a_link_to_a_file_that_is_not_there_yet_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "out.mkv").symlink_to("store/new.mkv")
    with open_source(str(make_clip(tmp_path / "in.mp4", count=3)), print) as frames:
        written(frames, tmp_path / "out.mkv").finish()
    assert (tmp_path / "out.mkv").is_symlink()
    assert len(read_clip(tmp_path / "store" / "new.mkv").frames) == 3


def test_a_link_into_a_directory_that_is_missing_is_noted_at_once(tmp_path: Path) -> None:
    (tmp_path / "out.mkv").symlink_to("missing/new.mkv")
    source = make_clip(tmp_path / "in.mp4", count=3)
    missing = r"there is no directory .*missing; create it first"
    with open_source(str(source), print) as frames, pytest.raises(UserError, match=missing):
        written(frames, tmp_path / "out.mkv")


def test_a_link_to_a_directory_that_is_not_there_yet_is_written_through(tmp_path: Path) -> None:
    source = open_source(str(write_picture(tmp_path / "in.png", numbered(3))), print)
    link = tmp_path / "link"
    link.symlink_to("made")
    written(source, link).finish()
    assert link.is_symlink() and names_in(tmp_path / "made") == ["in.png"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_pipe_is_refused_and_stays(tmp_path: Path, overwrite: bool) -> None:
    os.mkfifo(tmp_path / "out.mkv")
    source = make_clip(tmp_path / "in.mp4", count=3)
    refused = r"out\.mkv: is not a regular file; use another name"
    with open_source(str(source), print) as frames, pytest.raises(UserError, match=refused):
        written(frames, tmp_path / "out.mkv", overwrite=overwrite)
    assert stat.S_ISFIFO((tmp_path / "out.mkv").stat().st_mode)


def test_an_output_that_cannot_get_its_name_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of work are not thrown away because the last step fails."""

    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with open_source(str(make_clip(tmp_path / "in.mp4", count=3)), print) as frames:
        sink = written(frames, tmp_path / "out.mkv", overwrite=True)
        monkeypatch.setattr(Path, "replace", fail)
        with pytest.raises(UserError, match=r"Input/output error; the output is kept as .*out\.part\.mkv"):
            sink.finish()
        sink.abort()
    assert len(read_clip(tmp_path / "out.part.mkv").frames) == 3


@pytest.mark.parametrize("overwrite", [True, False])
def test_links_in_a_circle_are_noted_before_the_work(tmp_path: Path, overwrite: bool) -> None:
    """Path.resolve raises RuntimeError for them in Python before 3.13."""
    source = open_source(str(write_picture(tmp_path / "in.png", numbered(3))), print)
    (tmp_path / "out").mkdir()
    for name, target in (
        ("out/in.png", "b.png"),
        ("out/b.png", "in.png"),
        ("dir", "dir"),
        ("a.mp4", "a.mp4"),
    ):
        (tmp_path / name).symlink_to(target)
    for output in ("out", "dir", "a.mp4"):
        place_of(str(tmp_path / output))
        with pytest.raises(UserError, match="Too many levels of symbolic links"):
            open_sink(
                str(tmp_path / output), source.info, print, window=False, overwrite=overwrite, limit=None
            )
    assert not list(tmp_path.rglob("*.part*"))
