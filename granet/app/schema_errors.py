"""Rewords msgspec's validation errors for the person who has to fix the file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect

_LONGEST = 240
"""Most characters of a message, which may quote any text of the file."""

_MESSAGE = re.compile(r"(.*?)(?: - at (?:`key` in )?`\$(.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_CHOICE = re.compile(r"Invalid enum value (.*)", re.DOTALL)
_EXPECTED = re.compile(r"Expected `([^`]+)`(.*?)(?:, got `?([^`]+?)`?)?", re.DOTALL)


@dataclass(frozen=True)
class Words:
    """The terms of a file format.

    Attributes:
        table: term for an object with named fields.
        numbered_from_one: whether list entries are called "stream 1" rather than ``stream[0]``.
    """

    table: str
    numbered_from_one: bool = False

    def of(self, name: str) -> str:
        """The term for a type that msgspec names."""
        known = {
            "str": "a string",
            "int": "an integer",
            "float": "a number",
            "bool": "true or false",
            "array": "a list",
            "object": self.table,
        }
        return _either([known.get(each, each) for each in name.split(" | ")])

    def place(self, path: str) -> str:
        """The term for a path such as ``.stream[0].show``; empty for the whole file."""
        if not self.numbered_from_one:
            return path.removeprefix(".")
        numbered = re.sub(r"\[(\d+)\]", lambda match: f" {int(match[1]) + 1}", path)
        return numbered.removeprefix(".").replace(".", ": ")


def explained(error: msgspec.ValidationError, kind: type, words: Words) -> str:
    """Describes an error in one line: the field and the expectation.

    Args:
        error: the error that msgspec raised, possibly from a ValueError of ``__post_init__``.
        kind: the decoded type, which lists the existing names and choices.
        words: terms of the format.
    """
    match = _MESSAGE.fullmatch(str(error))
    assert match is not None  # the pattern matches any text
    problem, path = match[1], match[2] or ""
    if missing := _MISSING.fullmatch(problem):
        line = f"{words.place(f'{path}.{missing[1]}')} is missing"
    else:
        place = words.place(path)
        line = f"{place}: " if place else ""
        line += _problem(problem, _type_at(inspect.type_info(kind), path), words)
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _problem(problem: str, at: inspect.Type | None, words: Words) -> str:
    if unknown := _UNKNOWN.fullmatch(problem):
        names = [field.encode_name for each in _members(at) for field in getattr(each, "fields", ())]
        return f"unknown setting {unknown[1]} (the settings are {', '.join(names)})"
    if choice := _CHOICE.fullmatch(problem):
        values = [
            str(v) for each in _members(at) if isinstance(each, inspect.LiteralType) for v in each.values
        ]
        return f"expected {_either(values)}, got {choice[1]}"
    if expected := _EXPECTED.fullmatch(problem):
        name, limit, got = expected.groups()
        found = f", got {'a boolean' if got == 'bool' else words.of(got)}" if got else ""
        return f"expected {_description(at) or words.of(name) + _limit(limit)}{found}"
    # A message of __post_init__, which needs no rewording, or "Number out of range".
    return problem.replace("Number out", "number out").replace("Integer value out", "number out")


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _limit(text: str) -> str:
    """Rewords limits such as `` >= 1`` and `` of length >= 1``."""
    text = re.sub(r" of length >= (\d+)", r" of length \1 or more", text)
    return re.sub(r" >= (\S+)", lambda match: f" of at least {float(match[1]):g}", text)


def _type_at(kind: inspect.Type, path: str) -> inspect.Type | None:
    """The type of the field at ``path``; ``None`` if the field may have any type."""
    at: inspect.Type | None = kind
    for name, index in _STEP.findall(path):
        at = next(_inside(at, name, index), None)
    return at


def _inside(kind: inspect.Type | None, name: str, index: str) -> Iterator[inspect.Type]:
    for each in _members(kind):
        if name and isinstance(each, inspect.StructType | inspect.DataclassType):
            yield from (field.type for field in each.fields if field.encode_name == name)
        elif index == "..." and isinstance(each, inspect.DictType):
            yield each.value_type
        elif isinstance(each, inspect.TupleType):
            yield each.item_types[int(index)]
        elif isinstance(each, inspect.VarTupleType | inspect.ListType):
            yield each.item_type


def _members(kind: inspect.Type | None) -> Iterator[inspect.Type]:
    """The alternatives of a union, without their metadata."""
    if isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _members(each)
    elif isinstance(kind, inspect.Metadata):
        yield from _members(kind.type)
    elif kind is not None:
        yield kind


def _description(kind: inspect.Type | None) -> str | None:
    """The description of a type, such as "64 hexadecimal digits"."""
    if isinstance(kind, inspect.UnionType):
        found = next(filter(None, map(_description, kind.types)), None)
        null = any(isinstance(each, inspect.NoneType) for each in kind.types)
        return f"{found} or null" if found and null else found
    notes: dict[str, Any] = getattr(kind, "extra_json_schema", None) or {}
    return notes.get("description")
