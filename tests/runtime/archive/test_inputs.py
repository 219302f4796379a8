import os
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.archive.inputs import Recording, Selection, check_apart, check_names, find_recordings
from runtime.sinks.part_file import PartFile


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    for name in ("a.mp4", "day/b.MKV", "day/c.ts", "day/notes.txt", ".trash/d.mp4", ".granet-archive/e.mp4"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def names(source: Path | str, selection: Selection | None = None) -> list[str]:
    return [each.name for each in find_recordings(str(source), selection or Selection())]


def test_a_tree_is_searched_and_hidden_folders_are_not(tree: Path) -> None:
    assert names(tree) == ["a.mp4", "day/b.MKV", "day/c.ts"]


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(include=("day/*",)), ["day/b.MKV", "day/c.ts"]),
        (Selection(include=("*.mp4",)), ["a.mp4"]),
        (Selection(exclude=("c.*",)), ["a.mp4", "day/b.MKV"]),
        (Selection(suffixes=(".ts",)), ["day/c.ts"]),
        (Selection(include=("day/*",), exclude=("*.ts",)), ["day/b.MKV"]),
    ],
)
def test_patterns_and_suffixes_select(tree: Path, selection: Selection, found: list[str]) -> None:
    assert names(tree, selection) == found


def test_a_pattern_keeps_the_folders_below_its_first_wildcard(tree: Path) -> None:
    assert names(f"{tree}/*/*.ts") == ["day/c.ts"]


def test_a_list_names_files_relative_to_itself(tree: Path) -> None:
    (tree / "list.txt").write_text("# two of them\na.mp4\n\nday/c.ts\n")
    assert names(tree / "list.txt") == ["a.mp4", "day/c.ts"]


def test_a_list_from_windows_is_read(tree: Path) -> None:
    (tree / "list.txt").write_bytes(b"\xef\xbb\xbfa.mp4\r\nday/c.ts\r\n")
    assert names(tree / "list.txt") == ["a.mp4", "day/c.ts"]


def test_a_list_with_a_name_that_is_not_utf_8_is_refused_with_its_line(tree: Path) -> None:
    (tree / "list.txt").write_bytes(b"a.mp4\nday/caf\xe9.mp4\n")
    with pytest.raises(UserError, match=r"list\.txt: line 2: is not valid UTF-8; rename the file"):
        names(tree / "list.txt")


def test_a_list_without_end_is_not_read(tree: Path) -> None:
    with (tree / "list.txt").open("wb") as sparse:
        sparse.truncate(2**28 + 1)
    with pytest.raises(UserError, match="is too large"):
        names(tree / "list.txt")


def test_a_list_may_name_files_outside_its_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree / "day")
    Path("list.txt").write_text(f"c.ts\n../a.mp4\n{tree / 'day' / 'b.MKV'}\n")
    assert names("list.txt") == ["a.mp4", "day/b.MKV", "day/c.ts"]


def test_links_that_lead_nowhere_or_in_a_circle_are_told(tree: Path) -> None:
    (tree / "day" / "loop").symlink_to("..")
    (tree / "old.mp4").symlink_to("gone.mp4")
    (tree / "new.mp4").symlink_to("a.mp4")
    os.mkfifo(tree / "pipe.mp4")
    said: list[str] = []
    found = find_recordings(str(tree), Selection(), said.append)
    assert [each.name for each in found] == ["a.mp4", "day/b.MKV", "day/c.ts", "new.mp4"]
    assert said[0] == f"links to folders are not followed: {tree}/day/loop"
    assert said[1].startswith("left out, since they are no files or lead to none: ") and "1 more" in said[1]
    assert len(said) == 2


def test_a_list_may_name_hidden_files(tree: Path) -> None:
    (tree / "list.txt").write_text("a.mp4\n.trash/d.mp4\n")
    assert names(tree / "list.txt") == [".trash/d.mp4", "a.mp4"]
    (tree / ".hidden.mp4").write_bytes(b"x")
    assert names(tree / ".hidden.mp4") == [".hidden.mp4"]


def test_what_a_list_names_in_vain_is_told(tree: Path) -> None:
    said: list[str] = []
    (tree / "list.txt").write_text("a.mp4\nday/notes.txt\n.granet-archive/e.mp4\nday/c.ts\n")
    found = find_recordings(str(tree / "list.txt"), Selection(exclude=("c.*",)), said.append)
    assert [each.name for each in found] == ["a.mp4"]
    assert said == [
        f"{tree}/list.txt: left out, since they are no recordings: day/notes.txt and 1 more; --ext adds "
        "other suffixes"
    ]


def test_a_file_that_a_list_names_twice_is_one_recording(tree: Path) -> None:
    said: list[str] = []
    (tree / "list.txt").write_text("a.mp4\n./a.mp4\nday/../a.mp4\nday/c.ts\n")
    found = find_recordings(str(tree / "list.txt"), Selection(), said.append)
    assert [each.name for each in found] == ["a.mp4", "day/c.ts"]
    assert said == [f"{tree}/list.txt: names these more than once; each is processed once: a.mp4"]


def test_a_missing_file_in_a_list_is_named_with_its_line(tree: Path) -> None:
    (tree / "list.txt").write_text("a.mp4\ngone.mp4\n")
    with pytest.raises(UserError, match=r"line 2: there is no file gone\.mp4"):
        names(tree / "list.txt")


@pytest.mark.parametrize("source", ["missing", "missing.txt", "empty"])
def test_a_source_without_recordings_is_one_line(tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no such file|has no recordings"):
        names(tmp_path / source)


def test_links_in_a_circle_are_one_line_and_no_internal_error(tree: Path) -> None:
    (tree / "a").symlink_to("b")
    (tree / "b").symlink_to("a")
    with pytest.raises(UserError, match="no such file"):
        names(tree / "a")
    check_apart(str(tree / "a"), tree.parent / "out")


def test_a_pipe_is_not_a_source_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"a\.mp4: is a named pipe: give a directory"):
        names(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("name", "output"),
    [("a.mp4", "a.mp4"), ("d/a.MOV", "d/a.MOV"), ("d/a.ts", "d/a.ts.mkv"), ("a.flv", "a.flv.mkv")],
)
def test_a_result_keeps_the_name_if_its_format_can_be_written(name: str, output: str) -> None:
    assert Recording(Path(name), name).output == output


@pytest.mark.parametrize("pair", [("A.mp4", "a.mp4"), ("a.ts", "a.ts.mkv"), ("x/Ä.mkv", "x/ä.mkv")])
def test_results_that_would_overwrite_each_other_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(UserError, match="same result"):
        check_names([Recording(Path(name), name) for name in pair])


@pytest.mark.parametrize("name", ["/etc/a.mp4", "x//a.mp4"])
def test_a_key_that_would_leave_the_destination_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="outside the destination"):
        check_names([Recording(f"s3://bucket/src/{name}", name)])


def test_source_and_destination_must_not_contain_each_other(tree: Path) -> None:
    for source, destination in [(tree, tree), (tree, tree / "out"), (tree / "day", tree)]:
        with pytest.raises(UserError, match="lies inside"):
            check_apart(str(source), destination)
    check_apart(str(tree), tree.parent / "out")


def test_a_link_does_not_hide_a_destination_inside_the_source(tree: Path) -> None:
    (tree.parent / "link").symlink_to(tree / "day")
    with pytest.raises(UserError, match="lies inside"):
        check_apart(str(tree), tree.parent / "link")


def test_a_name_without_room_for_an_unfinished_result_is_refused(tmp_path: Path) -> None:
    longest = f"{'ü' * 122}.mp4"  # 248 bytes
    check_names([Recording(Path(longest), longest)])
    PartFile(tmp_path / longest).discard()
    with pytest.raises(UserError, match=r"too long .* at most 248 bytes"):
        check_names([Recording(Path(f"a{longest}"), f"a{longest}")])
    with pytest.raises(UserError, match="too long"):
        check_names([Recording(Path("x"), f"{'x' * 245}.ts")])  # its result is x.ts.mkv
