"""Files get their names: two writers, symbolic links, permissions, file systems without hard links."""

import errno
import multiprocessing
import os
import stat
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from granet.app import files
from granet.app.claim import Claim
from granet.app.files import publish, write_atomically
from granet.errors import UserError


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def without_links(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.link", refuse)


NO_LINKS = [None, errno.EPERM, errno.ENOTSUP]
"""How ``link`` answers: it works, FAT and exFAT, some network file systems."""


@pytest.mark.parametrize("number", NO_LINKS)
class TestPublish:
    def test_a_free_name_is_taken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
    ) -> None:
        if number is not None:
            without_links(number, monkeypatch)
        (tmp_path / "part").write_bytes(b"content")
        publish(tmp_path / "part", tmp_path / "final", overwrite=False)
        assert names_in(tmp_path) == ["final"] and (tmp_path / "final").read_bytes() == b"content"

    @pytest.mark.parametrize("what", ["file", "empty file", "directory", "dangling link"])
    def test_a_taken_name_is_refused_and_both_stay(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None, what: str
    ) -> None:
        if number is not None:
            without_links(number, monkeypatch)
        final, part = tmp_path / "final", tmp_path / "part"
        part.write_bytes(b"content")
        if what == "directory":
            final.mkdir()
        elif what == "dangling link":
            final.symlink_to("nowhere")
        else:
            final.write_bytes(b"precious" if what == "file" else b"")
        with pytest.raises(FileExistsError):
            publish(part, final, overwrite=False)
        assert names_in(tmp_path) == ["final", "part"] and part.read_bytes() == b"content"
        assert not final.is_file() or final.read_bytes() in (b"precious", b"")

    def test_a_reservation_does_not_stay_under_the_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
    ) -> None:
        if number is not None:
            without_links(number, monkeypatch)
        with pytest.raises(FileNotFoundError):
            publish(tmp_path / "missing", tmp_path / "final", overwrite=False)
        assert names_in(tmp_path) == []


def _race(name: str, number: int | None, directory: str, barrier: Barrier) -> None:
    if number is not None:

        def refuse(*arguments: object) -> None:
            raise OSError(number, "no links")

        os.link = refuse  # type: ignore[assignment]
    wins = 0
    for round_ in range(100):
        part = Path(directory, f"{name}.part")
        part.write_text(name)
        barrier.wait(30)
        try:
            publish(part, Path(directory, f"final{round_}"), overwrite=False)
            wins += 1
        except FileExistsError:
            assert part.read_text() == name
    Path(directory, f"{name}.wins").write_text(str(wins))


@pytest.mark.parametrize("number", [None, errno.EPERM])
def test_of_writers_of_one_name_exactly_one_succeeds(tmp_path: Path, number: int | None) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    writers = [
        context.Process(target=_race, args=(name, number, str(tmp_path), barrier)) for name in ("a", "b", "c")
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    wins = {name: int((tmp_path / f"{name}.wins").read_text()) for name in "abc"}
    assert sum(wins.values()) == 100
    owners = [(tmp_path / f"final{round_}").read_text() for round_ in range(100)]
    assert {name: owners.count(name) for name in "abc"} == wins


class TestWriteAtomically:
    def test_who_comes_second_keeps_the_content_and_reads_where(self, tmp_path: Path) -> None:
        for taken in ("table.json", "table.part.json"):
            (tmp_path / taken).write_bytes(b"precious")
        path = tmp_path / "table.json"
        with pytest.raises(UserError) as caught:
            write_atomically(path, b"hours of work", overwrite=False)
        kept = tmp_path / "table.part2.json"
        assert str(caught.value) == (
            f"{path}: was created by another program meanwhile; the output is kept as {kept}"
        )
        assert kept.read_bytes() == b"hours of work"
        assert names_in(tmp_path) == ["table.json", "table.part.json", "table.part2.json"]
        assert path.read_bytes() == b"precious"

    @pytest.mark.parametrize("link", ["elsewhere/real.json", "chain.json", "elsewhere/new.json"])
    def test_a_symbolic_link_stays_and_its_target_is_written(self, tmp_path: Path, link: str) -> None:
        (tmp_path / "elsewhere").mkdir()
        real = tmp_path / "elsewhere" / ("new.json" if "new" in link else "real.json")
        if "new" not in link:
            real.write_bytes(b"old")
        (tmp_path / "chain.json").symlink_to("elsewhere/real.json")
        path = tmp_path / "link.json"
        path.symlink_to(link)
        write_atomically(path, b"new")
        assert path.is_symlink() and str(path.readlink()) == link
        assert real.read_bytes() == b"new" and not real.is_symlink()
        assert names_in(tmp_path / "elsewhere") == [real.name]

    @pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o664])
    def test_a_replaced_file_keeps_its_permissions(self, tmp_path: Path, mode: int) -> None:
        path = tmp_path / "a.json"
        path.write_bytes(b"old")
        path.chmod(mode)
        write_atomically(path, b"new")
        assert path.read_bytes() == b"new" and mode_of(path) == mode

    def test_a_private_file_replaces_a_link_of_someone_else(self, tmp_path: Path) -> None:
        (tmp_path / "victim").write_bytes(b"precious")
        path = tmp_path / "a.engine"
        path.symlink_to("victim")
        write_atomically(path, b"for me", private=True)
        assert (tmp_path / "victim").read_bytes() == b"precious"
        assert not path.is_symlink() and mode_of(path) == 0o600

    def test_a_pipe_is_not_replaced_by_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe.json"
        os.mkfifo(path)
        with pytest.raises(UserError, match=r"pipe\.json: is not a regular file; use another name"):
            write_atomically(path, b"new")
        assert stat.S_ISFIFO(path.stat().st_mode) and names_in(tmp_path) == ["pipe.json"]

    def test_a_link_to_itself_is_one_line(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.symlink_to("a.json")
        with pytest.raises(UserError, match=r"a\.json: cannot be written: Too many levels of symbolic links"):
            write_atomically(path, b"new")
        assert path.is_symlink()


class TestClaim:
    def test_a_part_of_an_ended_run_is_removed_and_its_name_used_again(self, tmp_path: Path) -> None:
        first = Claim(tmp_path / "out.mp4")
        first.path.write_bytes(b"old")
        first.close()
        second = Claim(tmp_path / "out.mp4")
        assert second.path == first.path == tmp_path / "out.part.mp4"
        assert second.path.read_bytes() == b"" and names_in(tmp_path) == ["out.part.mp4"]
        second.close()

    def test_several_parts_of_ended_runs_are_removed(self, tmp_path: Path) -> None:
        claims = [Claim(tmp_path / "out.mp4") for _ in range(3)]
        assert names_in(tmp_path) == ["out.part.mp4", "out.part2.mp4", "out.part3.mp4"]
        for claim in claims:
            claim.close()
        with_all_gone = Claim(tmp_path / "out.mp4")
        assert names_in(tmp_path) == ["out.part.mp4"]
        with_all_gone.close()

    def test_what_a_process_still_writes_is_left_alone(self, tmp_path: Path) -> None:
        first, second = Claim(tmp_path / "out.mp4"), Claim(tmp_path / "out.mp4")
        assert [first.path.name, second.path.name] == ["out.part.mp4", "out.part2.mp4"]
        assert first.in_place() and second.in_place()
        first.close()
        second.close()

    def test_a_recording_is_never_taken_over(self, tmp_path: Path) -> None:
        recording = Claim(tmp_path / "out.mkv", lasting=True)
        recording.path.write_bytes(b"an hour of rain")
        recording.close()
        claim = Claim(tmp_path / "out.mkv")
        assert claim.path.name == "out.part2.mkv"
        assert recording.path.read_bytes() == b"an hour of rain"
        claim.close()

    @pytest.mark.parametrize("what", ["link", "directory", "pipe", "file"])
    def test_what_is_not_ours_is_left_alone(self, tmp_path: Path, what: str) -> None:
        (tmp_path / "victim").write_bytes(b"precious")
        taken = tmp_path / "out.part.mp4"
        {
            "link": lambda: taken.symlink_to("victim"),
            "directory": taken.mkdir,
            "pipe": lambda: os.mkfifo(taken),
            "file": taken.touch,
        }[what]()
        claim = Claim(tmp_path / "out.mp4")
        assert claim.path.name == "out.part2.mp4" and os.path.lexists(taken)
        assert (tmp_path / "victim").read_bytes() == b"precious"
        claim.close()

    def test_a_file_system_without_attributes_loses_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unsupported(*arguments: object) -> None:
            raise OSError(errno.ENOTSUP, "not supported")

        for name in ("setxattr", "getxattr", "removexattr"):
            monkeypatch.setattr(os, name, unsupported)
        first = Claim(tmp_path / "out.mp4")
        first.path.write_bytes(b"old")
        first.close()
        second = Claim(tmp_path / "out.mp4")
        assert second.path.name == "out.part2.mp4" and first.path.read_bytes() == b"old"
        second.settle()
        second.unmark()
        second.close()

    def test_a_run_killed_between_its_last_two_steps_leaves_one_file_after_the_next(
        self, tmp_path: Path
    ) -> None:
        """The file has both names; the next run removes that of the part."""
        claim = Claim(tmp_path / "out.mp4")
        claim.path.write_bytes(b"complete")
        os.link(claim.path, tmp_path / "out.mp4")
        claim.close()
        again = Claim(tmp_path / "out.mp4")
        again.remove()
        again.close()
        assert names_in(tmp_path) == ["out.mp4"] and (tmp_path / "out.mp4").read_bytes() == b"complete"

    @pytest.mark.parametrize("directory", [False, True])
    def test_a_published_output_is_an_ordinary_one(self, tmp_path: Path, directory: bool) -> None:
        """The user may give it the name of a part later."""
        claim = Claim(tmp_path / "out", directory=directory)
        claim.settle(durable=not directory)
        claim.unmark()
        claim.close()
        again = Claim(tmp_path / "out", directory=directory)
        assert again.path.name == "out.part2" and claim.path.exists()
        again.close()


def test_there_is_one_place_that_gives_names() -> None:
    """A rename elsewhere would be a check before a rename again."""
    root = Path(files.__file__).parents[2]
    found = [
        str(path.relative_to(root))
        for room in ("granet", "runtime", "calibration", "export")
        for path in (root / room).rglob("*.py")
        if any(word in path.read_text() for word in ("os.rename", "os.replace", ".rename(", "os.link"))
    ]
    # Two rename whole new directories, which cannot replace one that has files.
    directories = ["export/triton/repository.py", "runtime/sinks/pictures/directory.py"]
    assert sorted(found) == sorted(["granet/app/files.py", *directories])
