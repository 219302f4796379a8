"""``--map OLD=NEW``: names of another program's weights become those of GraNet."""

from collections.abc import Sequence
from dataclasses import dataclass

from granet.app.console import UsageError

ANY = "*"


@dataclass(frozen=True)
class Rename:
    """Replaces the beginning of names.

    Attributes:
        old: parts that a name must begin with; ``*`` stands for any one part.
        new: parts that replace them; each ``*`` becomes the part that the ``*`` of ``old`` at the same place
            in the order stood for. Empty: the beginning is removed.
    """

    old: tuple[str, ...]
    new: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Rename":
        """Reads ``OLD=NEW``.

        Raises:
            UsageError: if it has another form, or ``*`` occurs more often on one side.
        """
        old, equals, new = text.partition("=")
        parts = tuple(old.rstrip(".").split("."))
        wanted = tuple(new.rstrip(".").split(".")) if new.rstrip(".") else ()
        if not equals or not all(parts) or not all(wanted):
            raise UsageError(f"--map {text}: expected OLD=NEW, as in --map encoder.conv1=coarse.head")
        if parts.count(ANY) != wanted.count(ANY):
            raise UsageError(f"--map {text}: {ANY} must occur equally often on both sides")
        return cls(parts, wanted)

    def apply(self, name: str) -> str | None:
        """The new name; ``None`` if ``name`` does not begin with ``old``."""
        parts = name.split(".")
        if len(parts) < len(self.old):
            return None
        pairs = list(zip(self.old, parts, strict=False))
        if any(old not in (ANY, part) for old, part in pairs):
            return None
        matched = iter(part for old, part in pairs if old == ANY)
        new = [next(matched) if part == ANY else part for part in self.new]
        return ".".join([*new, *parts[len(self.old) :]])

    def __str__(self) -> str:
        """The rename as the user writes it."""
        return f"--map {'.'.join(self.old)}={'.'.join(self.new)}"


def parse_renames(texts: Sequence[str] | None) -> tuple[Rename, ...]:
    """Reads each ``--map``; ``None`` if there is none.

    Raises:
        UsageError: if one is malformed or given twice.
    """
    renames = tuple(map(Rename.parse, texts or ()))
    twice = [each for index, each in enumerate(renames) if each.old in [r.old for r in renames[:index]]]
    if twice:
        raise UsageError(f"{twice[0]}: {'.'.join(twice[0].old)} is mapped twice: give it once")
    return renames
