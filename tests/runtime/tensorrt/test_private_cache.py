"""A file of machine code is read only if nobody else can have written it or replaced what it is found by."""

import os
import stat
from pathlib import Path

import pytest

from runtime.tensorrt import private_cache
from runtime.tensorrt.private_cache import ForeignFileError, read_private, write_private


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A file in ``home/cache/engines``."""
    (tmp_path / "home").mkdir(mode=0o700)
    write_private(path := tmp_path / "home" / "cache" / "engines" / "a.engine", b"code")
    return path


def test_what_was_written_is_read(code: Path) -> None:
    assert read_private(code, 4) == b"code"


@pytest.mark.parametrize("above", [0, 1, 2])
@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_no_directory_above_may_be_written_by_others(code: Path, above: int, mode: int) -> None:
    directory = code.parents[above]
    directory.chmod(mode)
    with pytest.raises(ForeignFileError, match=f"other users can write {directory}$"):
        read_private(code, 100)


def test_a_sticky_directory_above_is_safe_and_the_own_one_is_not(code: Path) -> None:
    code.parents[2].chmod(0o1777)  # as /tmp
    assert read_private(code, 100) == b"code"
    code.parent.chmod(0o1777)
    with pytest.raises(ForeignFileError, match="other users can write"):
        read_private(code, 100)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory to another user")
@pytest.mark.parametrize("above", [0, 1, 2])
def test_no_directory_above_may_belong_to_another_user(code: Path, above: int) -> None:
    os.chown(code.parents[above], 12345, -1)
    with pytest.raises(ForeignFileError, match="belongs to another user"):
        read_private(code, 100)


def test_a_linked_directory_is_judged_where_it_leads(code: Path, tmp_path: Path) -> None:
    (link := tmp_path / "link").symlink_to(code.parents[1])
    assert read_private(link / "engines" / code.name, 100) == b"code"
    code.parents[1].chmod(0o777)
    with pytest.raises(ForeignFileError, match="other users can write"):
        read_private(link / "engines" / code.name, 100)


def test_the_file_that_was_judged_is_the_one_that_is_read(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replaces the file as soon as it was judged."""
    judge = private_cache._judge

    def judge_and_replace(path: Path, status: os.stat_result, *, is_own: bool) -> None:
        judge(path, status, is_own=is_own)
        if stat.S_ISREG(status.st_mode):
            code.unlink()
            code.write_bytes(b"evil")

    monkeypatch.setattr(private_cache, "_judge", judge_and_replace)
    assert read_private(code, 100) == b"code"


def test_a_directory_that_is_replaced_meanwhile_is_not_entered(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_private(code.parents[2] / "evil" / code.name, b"evil")
    judge = private_cache._judge

    def judge_and_replace(path: Path, status: os.stat_result, *, is_own: bool) -> None:
        judge(path, status, is_own=is_own)
        if path == code.parents[1]:
            code.parent.rename(code.parent.with_name("old"))
            code.parent.symlink_to(code.parents[2] / "evil")

    monkeypatch.setattr(private_cache, "_judge", judge_and_replace)
    with pytest.raises((ForeignFileError, NotADirectoryError)):
        read_private(code, 100)


def test_a_file_that_is_missing_is_not_an_attack(code: Path) -> None:
    for path in (code.with_name("none"), code.parent / "none" / "none"):
        with pytest.raises(FileNotFoundError):
            read_private(path, 100)
