"""Atomic file replacement: the new file is complete or the old one stays; a failure is one line."""

import os
import stat
from pathlib import Path

import pytest

from granet.app.files import write_atomically
from granet.errors import UserError


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content in (b"first", b"second, longer"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_the_mode_is_that_of_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(b"for all to read")
    write_atomically(path, b"for me", private=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_disk_that_is_full_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(UserError) as caught:
        write_atomically(path, b"new")
    assert str(caught.value) == f"{path}: cannot be written: No space left on device"
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_directory_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.json"
    with pytest.raises(UserError) as caught:
        write_atomically(path, b"")
    assert str(caught.value) == f"{path}: cannot be written: No such file or directory"
