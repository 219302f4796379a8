"""Specs of data sets, ``KIND:WHERE``: read without opening a file, and written without the user's folders.

:mod:`granet.data.datasets` describes the kinds.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from granet.errors import UserError

DATA = "{data}"
"""Placeholder in a spec for the directory of ``granet-train --data``."""

FORMS = {
    "rain100l": "DIR",
    "rain100h": "DIR",
    "ddn": "DIR",
    "did": "DIR",
    "rain800": "DIR",
    "pairs": "RAINY_DIR,CLEAN_DIR",
    "synthetic": "CLEAN_DIR",
    "drawn": "COUNT",
    "clean": "DIR",
}
"""Kind of data -> what follows its colon."""

_OPTIONS = ("heaviness", "split", "faults", "lines", "turned", "streaks")


@dataclass(frozen=True)
class Spec:
    """A spec that is well formed.

    Attributes:
        text: what the user wrote.
        kind: one of :data:`FORMS`.
        where: what follows the colon, without options.
        options: for synthetic rain, what follows the question mark, by name.
        source: for synthetic rain on the pairs of another spec, that spec; else ``None``.
        streaks: for rain taken from the pairs of another spec, that spec; else ``None``.
    """

    text: str
    kind: str
    where: str
    options: Mapping[str, str]
    source: "Spec | None" = None
    streaks: "Spec | None" = None

    @property
    def directories(self) -> tuple[str, ...]:
        """The directories that the spec names itself."""
        if self.kind == "drawn" or self.source is not None:
            return ()
        return tuple(self.where.split(",", 1)) if self.kind == "pairs" else (self.where,)

    @property
    def heaviness(self) -> tuple[float, float] | None:
        """Range of the heaviness of synthetic rain, from 0 to 1; ``None`` for light to heavy."""
        return parse_heaviness(self.options["heaviness"]) if "heaviness" in self.options else None

    @property
    def faults(self) -> float:
        """Share of the pictures with faults of a camera, from 0 to 1."""
        return self._share("faults")

    @property
    def lines(self) -> float:
        """Share of the pictures whose synthetic rain is long lines, from 0 to 1."""
        return self._share("lines")

    @property
    def turned(self) -> float:
        """Share of the clean pictures that are turned on their side, from 0 to 1."""
        return self._share("turned")

    def _share(self, option: str) -> float:
        return _parse_share(self.text, option, self.options.get(option, "0"))

    def without_folders(self) -> str:
        """The spec with names of directories alone, for a file that others may read.

        What follows ``{data}`` stays, because it names data sets and not a user's folders.
        """
        where = ",".join(map(_name, self.directories)) or self.where
        if self.source is not None:
            where = self.source.without_folders()
        options = dict(self.options)
        if self.streaks is not None:
            options["streaks"] = self.streaks.without_folders()
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"{self.kind}:{where}" + (f"?{query}" if query else "")


def parse_spec(text: str) -> Spec:
    """Reads a spec.

    Raises:
        UserError: if it is malformed; no file is looked at.
    """
    kind, colon, where = text.partition(":")
    if kind not in FORMS or not colon or not where:
        kinds = ", ".join(f"{name}:{form}" for name, form in FORMS.items())
        raise UserError(f"{text!r} is not a data set: give one of {kinds}")
    if kind == "synthetic":
        return _synthetic(text, where)
    rainy, comma, clean = where.partition(",")
    if kind == "pairs" and not (rainy and comma and clean):
        raise UserError(f"{text!r}: expected two directories, pairs:RAINY_DIR,CLEAN_DIR")
    if kind == "drawn" and (not where.isdecimal() or int(where) == 0):
        raise UserError(f"{text!r}: expected a number of streets, as in drawn:8")
    return Spec(text, kind, where, {})


def without_folders(text: str) -> str:
    """:meth:`Spec.without_folders`; of a text that is no spec (any more), the last part."""
    try:
        return parse_spec(text).without_folders()
    except UserError:
        return PurePath(text).name


def parse_heaviness(text: str) -> tuple[float, float]:
    """Parses ``0.1-0.4`` to (0.1, 0.4), and ``0.2`` to (0.2, 0.2).

    Raises:
        UserError: if ``text`` is not a range within 0 and 1.
    """
    low, dash, high = text.partition("-")
    try:
        bounds = float(low), float(high if dash else low)
    except ValueError:
        bounds = (1.0, 0.0)
    if not 0 <= bounds[0] <= bounds[1] <= 1:
        raise UserError(f"heaviness {text!r}: expected LOW-HIGH from 0 (drizzle) to 1, as in 0.1-0.4")
    return bounds


def _synthetic(text: str, where: str) -> Spec:
    clean, _, query = where.partition("?")
    given = [part.partition("=")[::2] for part in query.split("&") if part]
    options = dict(given)
    for name, count in Counter(name for name, _ in given).items():
        if count > 1:
            raise UserError(f"{text!r}: {name} is given {count} times: give it once")
    if options.keys() - set(_OPTIONS) or options.get("split", "all") != "all" or not clean:
        raise UserError(
            f"{text!r}: expected heaviness=LOW-HIGH, faults=SHARE, lines=SHARE, turned=SHARE, "
            "streaks=SPEC or split=all after the ?, joined by &"
        )
    for other in ("heaviness", "lines"):
        if "streaks" in options and other in options:
            raise UserError(f"{text!r}: {other} does not apply to streaks: give one of them")
    kind, colon, _ = clean.partition(":")
    source = parse_spec(clean) if colon and kind in FORMS else None  # clean may also be a directory
    streaks = parse_spec(options["streaks"]) if "streaks" in options else None
    spec = Spec(text, "synthetic", clean, options, source, streaks)
    _ = spec.heaviness, spec.faults, spec.lines, spec.turned  # refuses wrong values
    return spec


def _parse_share(text: str, option: str, share: str) -> float:
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UserError(f"{text!r}: {option}={share}: expected a share from 0 to 1, as in {option}=0.3")
    return value


def _name(directory: str) -> str:
    path = PurePath(directory)
    if path.parts[:1] == (DATA,) and ".." not in path.parts:
        return directory
    return path.name or "."
