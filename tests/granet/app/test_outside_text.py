"""Text that is not UTF-8: read without failing, and written without harm."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from granet.app.outside_text import decoded, printable, printable_lines, shown, shown_values
from granet.app.schema import JsonFile, read_toml, to_json
from granet.errors import UserError
from tests.patience import PATIENCE

NAME = os.fsdecode(b"stra\xdfe.mp4")
"""A Latin-1 file name, as Python holds it."""


@dataclass(frozen=True)
class Record:
    file: str


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain", "plain"),
        ("Straße 雨".encode(), "Straße 雨"),
        (b"Stra\xdfe", "Straße"),
        (b"\xe4\xf6\xfc", "äöü"),
        ("雨".encode() + b" \xdf", "雨 ß"),
        (b"\xed\xb3\x9f", "í³\x9f"),  # a surrogate in UTF-8, which no decoder may let through
        (b"", ""),
    ],
)
def test_a_text_is_utf8_or_else_latin_1(data: bytes, text: str) -> None:
    assert decoded(data) == text
    decoded(data).encode()


def test_what_cannot_be_written_is_replaced_and_nothing_else() -> None:
    assert shown(NAME) == "stra\N{REPLACEMENT CHARACTER}e.mp4"
    assert shown("Straße 雨 😀") == "Straße 雨 😀"
    assert shown_values({NAME: [NAME, 3, None, {"a": (NAME,)}]}) == {
        shown(NAME): [shown(NAME), 3, None, {"a": [shown(NAME)]}]
    }


def test_json_with_such_a_name_can_be_read_back(tmp_path: Path) -> None:
    """msgspec, and jq, refuse the escape of half a character that Python writes."""
    file = JsonFile(Record, "record", "make it again", 1)
    (tmp_path / "record.json").write_text(to_json(file.values(Record(NAME))), "utf-8")
    assert file.read(tmp_path / "record.json") == Record(shown(NAME))
    assert json.loads(to_json({"name": NAME})) == {"name": shown(NAME)}


def test_toml_with_the_mark_of_windows_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b'\xef\xbb\xbffile = "Stra\xc3\x9fe"\n')
    assert read_toml(tmp_path / "a.toml", Record) == Record("Straße")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b'# a\nfile = "Stra\xdfe"', 2),
        ('file = "a"'.encode("utf-16"), 1),
        (b"\n\n\n# \xff", 4),
    ],
)
def test_toml_in_another_encoding_is_refused_with_the_line(data: bytes, line: int, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(data)
    with pytest.raises(UserError, match=rf"not UTF-8 \(line {line}\): save it in that encoding"):
        read_toml(tmp_path / "a.toml", Record)


ENVIRONMENTS = {
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=list(ENVIRONMENTS))
def test_every_terminal_takes_every_text(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text(
        "import sys, typer\n"
        "from granet.app.console import run_app, say\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def show(name: str) -> None:\n"
        "    say(f'{name} ß 雨')\n"
        "    sys.stdout.write(f'{name} ß 雨\\n')\n"
        "raise SystemExit(run_app(app))\n",
        "utf-8",
    )
    result = subprocess.run(
        [os.fsencode(sys.executable), os.fsencode(tmp_path / "show.py"), b"stra\xdfe.mp4"],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=PATIENCE,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(b"stra") and result.stderr.startswith(b"stra")
    assert b"e.mp4 " in result.stdout and b"e.mp4 " in result.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rain 7.png", "rain 7.png"),
        ("Regentag \u00fc \u96e8 \U0001f327", "Regentag \u00fc \u96e8 \U0001f327"),
        (
            "\u06a9\u062a\u0627\u0628\u200c\u0647\u0627",
            "\u06a9\u062a\u0627\u0628\u200c\u0647\u0627",
        ),  # a joiner belongs to the word
        ("\x1b[2J\x1b]0;title\x07a", r"\x1b[2J\x1b]0;title\x07a"),
        ("\x9b31mred", r"\x9b31mred"),  # the C1 form of ESC [
        ("a\x7f\x08\x08b", r"a\x7f\x08\x08b"),
        ("a\nerror: forged\r\nb", "a error: forged b"),
        ("a\x85b\u2028c\u2029d\x0be\x1cf", "a b c d e f"),  # each begins a new line somewhere
        ("gpj.\u202egnp.exe", r"gpj.\u202egnp.exe"),
        ("\u2066a\u2069 \u200fb \u061cc", r"\u2066a\u2069 \u200fb \u061cc"),
        ("zero\u200bwidth\ufeff\u00ad", r"zero\u200bwidth\ufeff\xad"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("caf\udce9.png", r"caf\xe9.png"),  # a name in Latin-1
        ("\ud800", r"\ud800"),
        ("  a \t b  ", "a b"),
    ],
)
def test_one_line_without_controls(text: str, expected: str) -> None:
    assert printable(text) == expected
    expected.encode()  # and any terminal can get it


def test_lines_of_our_own_keep_their_shape() -> None:
    assert printable_lines("a   b\n  c\x1b[m\n") == "a   b\n  c\\x1b[m\n"
