"""Text from outside: file names, metadata, environment variables, messages of servers.

It need not be UTF-8. Python keeps bytes of file names and of the environment that are not UTF-8 as lone
surrogates (``surrogateescape``). They name the file correctly, but no output takes them: neither a terminal
nor JSON. :func:`shown` makes them printable; a name that is opened must not pass through it.

It may also contain escape sequences, which a terminal obeys; bidirectional controls, which show a text in
another order; and line breaks, which forge lines of a log. :func:`printable` makes it safe for terminals and
logs.
"""

import codecs
import io
import re
import sys
import unicodedata
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"

UTF_8 = "utf-8-sig"
"""Encoding of text files that people write: UTF-8, with or without the mark that Windows puts before it."""

ELSE_LATIN_1 = "granet-else-latin-1"
"""Error handler for :meth:`bytes.decode`: bytes that are not UTF-8 are taken for Latin-1, which old cameras
and converters write. It never fails."""


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(ELSE_LATIN_1, _as_latin_1)


def decoded(data: bytes) -> str:
    """Decodes a text whose encoding nobody states.

    >>> decoded("Straße".encode()), decoded("Straße".encode("latin-1"))
    ('Straße', 'Straße')
    """
    return data.decode("utf-8", ELSE_LATIN_1)


def not_utf_8(error: UnicodeDecodeError) -> str:
    """The error for a text file that is not UTF-8, and its remedy."""
    line = error.object.count(b"\n", 0, error.start) + 1
    return f"not UTF-8 (line {line}): save it in that encoding"


def shown(text: str) -> str:
    """``text`` as it can be printed and written: what cannot be encoded becomes U+FFFD."""
    return _SURROGATE.sub(_UNKNOWN, text)


def shown_values(value: Any) -> Any:
    """The same for every text in lists and dictionaries, names included."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {shown_values(name): shown_values(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown_values(item) for item in value]
    return value


def let_any_text_out() -> None:
    """Makes stdout and stderr accept every text: what their encoding lacks is written as an escape.

    Python does so for stderr alone. A file name, or a table, would end a command with an internal error on a
    terminal that is not UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


_JOINERS = "\u200c\u200d"
"""Format characters that scripts and emoji need, and that change nothing around them."""


def printable(text: str) -> str:
    r"""``text`` as one line: white space becomes single spaces, other invisible characters are written out.

    Written out are control characters (C0, DEL and C1), format characters such as bidirectional overrides,
    and the surrogates that stand for bytes of a name that is not UTF-8.

    >>> printable("rain\x1b[2J.png\nerror: forged")
    'rain\\x1b[2J.png error: forged'
    """
    line = " ".join(text.split())
    return line if line.isascii() and line.isprintable() else "".join(map(_visible, line))


def printable_lines(text: str) -> str:
    """Same as :func:`printable`, but keeps line feeds and spaces, for our own tracebacks and tables."""
    return "\n".join("".join(map(_visible, line)) for line in text.split("\n"))


def _visible(character: str) -> str:
    if character.isprintable() or character == " " or character in _JOINERS:
        return character
    if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # an undecodable byte, see PEP 383
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
