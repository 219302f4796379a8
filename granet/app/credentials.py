"""Keeps secrets out of everything that is printed, written or served: one filter, :func:`mask`.

It applies two rules:

* A value that came from the environment is hidden wherever it occurs, whatever its name and its quoting
  (:func:`conceal`).
* Of an address only scheme, host, port and path are shown. User, password, query and fragment are hidden,
  and so are the parts of the path that are parameters (``/user=admin_password=..._channel=1``). Mistyped
  addresses count as addresses, because their passwords are real.
"""

import json
import re
from collections.abc import Iterable
from functools import lru_cache

HIDDEN = "***"

_SHORT = 4
"""A concealed value of fewer characters is hidden only where it stands alone: an ``a`` is in every word."""

_KNOWN = "(?:rtsp[stu]?|https?|rtmps?|rtp|srt|udp|tcp|tls|s?ftps?|mms|wss?|grpcs?)"
_START = r"(?<![\w./\\-])"
# A scheme as it should be; and known ones as they are mistyped: rtsp:/, rtsp//, rtsp;//, rtsp:user@.
_SCHEME = (
    rf"{_START}(?!file:|csi:)(?:[a-z][a-z0-9+.-]*:[/\\]+"
    rf"|{_KNOWN}(?:[:;,.]*[/\\]{{2,}}|[:;][/\\]?(?=[^\s/\\])))"
)
# Up to the last @: a password may contain any character, quoted or not.
_USER = r"(?:[^/?#\s]*[@:]\S*@|[^/?#]{0,200}@)"
# A quotation mark ends an address unless it is inside a word.
_REST = r"(?:[^\s'\"<>]|['\"<>](?=\w))*"
_ADDRESS = re.compile(
    rf"(?P<scheme>{_SCHEME})(?P<user>{_USER})?(?P<host>[^/?#\s'\"<>\\]*)(?P<rest>{_REST})"
    # Without a scheme: user:password@host, host:port/path, 192.0.2.7/path; not 640x480:bgr24@30 or drawn:8@1.
    r"|(?<![^\s'\"=(<])(?!(?:\d+x\d+|WIDTHxHEIGHT):|drawn:\d+@)"
    r"(?:(?P<bare_user>[^\s'\"@]*:[^\s'\"]*@)(?=[^\s'\"<>])"
    r"|(?=(?:(?:\d+\.){3}\d+(?::\d+)?|[a-z0-9_.-]+:\d+)/\S))"
    rf"(?P<bare_host>[^/?#\s'\"<>\\]*)(?P<bare_rest>{_REST})"
    # Without a host that looks like one: name?password=...
    rf"|(?<=[^\s?])(?P<query>\?[^\s'\"?=]*={_REST})",
    re.IGNORECASE,
)
_BREAK = re.compile(r"""[\s'"<>]""")
_PIPELINE = re.compile(rf"{_START}gst:(?=\S).*", re.IGNORECASE)
_PROPERTY = re.compile(r"""=\s*(?:"[^"]*"|'[^']*'|\S+)""")
_PARAMETERS = re.compile(r"[?#;&]|%(?:3F|23|3B|26)", re.IGNORECASE)
_IS_PARAMETER = re.compile(r"=|%3D", re.IGNORECASE)
_AT = re.compile(r"@|%40", re.IGNORECASE)
# Punctuation of the message around an address.
_END = re.compile(r"[:;,.)]?\Z")
# Names in place of a host, a port and a key are those of our own messages, and of variables.
_HOST = re.compile(r"(?:\[[^\[\]@]*\]|[^:\[\]@]*)(?::(?:(?P<port>\d*)|PORT|\$\{\w+\}))?")
_KEY = "KEY"
_LAST_PORT = 65535

_values: dict[str, re.Pattern[str]] = {}
_addresses: dict[str, re.Pattern[str]] = {}


def mask(text: str) -> str:
    """Hides concealed values and the secret parts of all addresses in ``text``.

    >>> mask("rtsp://me:secret@camera/1: no answer")
    'rtsp://***@camera/1: no answer'
    >>> mask("http://camera/video.cgi?user=me&pwd=secret")
    'http://camera/video.cgi?***'
    """
    for shown, pattern in _addresses.items():
        text = pattern.sub(shown.replace("\\", r"\\"), text)
    for pattern in _values.values():
        text = pattern.sub(HIDDEN, text)
    return _shown(text)


def conceal(value: str) -> None:
    """Hides ``value`` from now on, also percent-encoded, escaped or in other case.

    Args:
        value: the value of an environment variable that was inserted into an address.
    """
    value = value.strip()
    if value.strip("*"):
        _values[value] = _compiled(value)


def conceal_addresses(texts: Iterable[str]) -> None:
    """Registers texts that may be addresses with spaces or quotation marks in them.

    A message does not show where such an address ends, so it must be known as a whole.

    Args:
        texts: arguments of a command line, or settings of a file.
    """
    for text in texts:
        # Messages about a directory name the address up to one of its slashes.
        user, at, place = text.strip().rpartition("@")
        for each in {text.strip(), user + at + place.partition("/")[0]}:
            whole = _BREAK.sub("_", each)
            if whole != each and not _PIPELINE.match(each) and (shown := _shown(whole)) != whole:
                _addresses[shown] = _compiled(each)


def forget() -> None:
    """Forgets all concealed values and addresses."""
    _values.clear()
    _addresses.clear()


@lru_cache(maxsize=256)
def _compiled(value: str) -> re.Pattern[str]:
    """Matches ``value`` in any quoting."""
    # Messages are printed on one line, so any white space stands for any other.
    pieces = [
        r"(?:\\*\s|\+|%(?:25)*20|\\[nrtx][0-9a-f]*)+".join(
            ["".join(map(_forms, word)) for word in value.split()]
        )
    ]
    if len(value) < _SHORT:
        pieces = [r"(?:(?<![^\W_])|(?<=%[0-9a-f][0-9a-f]))", *pieces, r"(?![^\W_])"]
    return re.compile("".join(pieces), re.IGNORECASE)


def _forms(character: str) -> str:
    """Matches a character itself, percent-encoded (repeatedly too), and escaped by ``repr`` or JSON."""
    data = character.encode("utf-8", "surrogateescape")
    forms = {character, repr(character)[1:-1], json.dumps(character)[1:-1], "\\" + character}
    quoted = "".join(f"%(?:25)*{byte:02x}" for byte in data)
    return r"\\*(?:" + "|".join([quoted, *map(re.escape, sorted(forms, key=len, reverse=True))]) + ")"


def _shown(text: str) -> str:
    """``text`` with the secret parts of its addresses hidden."""
    text = _PIPELINE.sub(lambda match: _PROPERTY.sub(f"={HIDDEN}", match[0]), text)
    return _ADDRESS.sub(_shown_address, text)


def _shown_address(match: re.Match[str]) -> str:
    if match["query"]:
        return _shown_place("", match["query"])
    scheme = match["scheme"] or ""
    user = f"{HIDDEN}@" if match["user"] or match["bare_user"] else ""
    host, rest = match["host"] or match["bare_host"] or "", match["rest"] or match["bare_rest"] or ""
    return scheme + user + _shown_place(host, rest, has_key=scheme.lower().startswith("rtmp"))


def _shown_place(host: str, rest: str, *, has_key: bool = False) -> str:
    """Host, port and path; the last step of the path of an RTMP address is its stream key."""
    place = host + rest
    end = _END.search(place)
    assert end is not None  # it matches the empty end
    host, rest = host[: end.start()], place[len(host) : end.start()]
    valid = _HOST.fullmatch(host)
    if valid is None or int(valid["port"] or 0) > _LAST_PORT:
        # The text in place of the port is a password whose @ is missing.
        host = HIDDEN
    path, *parameters = _PARAMETERS.split(rest, maxsplit=1)
    return host + _shown_path(path, has_key=has_key) + (f"?{HIDDEN}" if parameters else "") + end[0]


def _shown_path(path: str, *, has_key: bool) -> str:
    before = list(_AT.finditer(path))
    steps = path.split("/")
    if before:
        # A password with an unquoted slash, or its user without a colon.
        steps = ["", HIDDEN, *path[before[-1].end() :].split("/")[1:]]
    steps = [HIDDEN if _IS_PARAMETER.search(step) else step for step in steps]
    if has_key and len(steps) > 1 and steps[-1] not in ("", _KEY):
        steps[-1] = HIDDEN
    return "/".join(steps)
