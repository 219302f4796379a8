"""The page docs/reference/python.md, made from the docstrings of the public names."""

import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType
from typing import Any

import granet
import runtime
from runtime.media.frame import Pixels

HEAD = """# Python

The public names, made by `python docs/make_reference.py` from their docstrings. Change those, not this page.
A test runs every example. `Pixels` is a numpy array of uint8. [From Python](../python.md) is an introduction.
"""

_SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields):")
_ENTRY = re.compile(r"    (\*{0,2}[\w.]+): (.*)")
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?([^`]+)`")


def python_reference() -> str:
    """The page."""
    parts = [HEAD]
    for module in (runtime, granet):
        for name in module.__all__:
            parts += _described(f"{module.__name__}.{name}", getattr(module, name), module)
    return "\n".join(parts)


def _described(name: str, value: Any, module: ModuleType) -> Iterator[str]:
    yield f"## {name}\n"
    yield _signature(name, value)
    yield markdown(inspect.getdoc(value) or "")
    if not inspect.isclass(value):
        return
    short = name.removeprefix(f"{module.__name__}.")
    for member, found in vars(value).items():
        if member.startswith("_"):
            continue
        if isinstance(found, property):
            yield f"### {short}.{member}\n"
            yield markdown(inspect.getdoc(found) or "")
        elif inspect.isroutine(found):
            yield f"### {short}.{member}()\n"
            yield _signature(f"{short}.{member}", getattr(value, member))
            yield markdown(inspect.getdoc(found) or "")


def _signature(name: str, value: Any) -> str:
    """The call as a block of code, without ``self`` and without the private fields of a dataclass."""
    if inspect.isclass(value) and getattr(value, "_is_protocol", False):
        return ""  # nobody makes one
    signature = inspect.signature(value)
    kept = [each for each in signature.parameters.values() if not re.match(r"self$|_", each.name)]
    signature = signature.replace(parameters=kept)
    if inspect.isclass(value):
        signature = signature.replace(return_annotation=inspect.Signature.empty)
    text = _short(str(signature))
    if len(name + text) > 100 and kept:
        result = text.rpartition(") -> ")[2] if ") -> " in text else ""
        lines = "".join(f"    {line},\n" for line in _parameters(kept))
        text = f"(\n{lines})" + (f" -> {result}" if result else "")
    return f"```python\n{name}{text}\n```\n"


def _parameters(kept: list[inspect.Parameter]) -> Iterator[str]:
    """The parameters one by one, with the marks of those that have no place or no name."""
    for before, each in pairwise([None, *kept]):
        assert each is not None
        if before is not None and before.kind is before.POSITIONAL_ONLY != each.kind:
            yield "/"
        if each.kind is each.KEYWORD_ONLY and (before is None or before.kind is not before.KEYWORD_ONLY):
            yield "*"
        yield _short(str(each))


def _short(text: str) -> str:
    """Types by their names alone."""
    text = text.replace(inspect.formatannotation(Pixels), "Pixels")
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", re.sub(r"'([A-Z]\w+)'", r"\1", text))


def markdown(docstring: str) -> str:
    """A docstring in Google's style: its sections as lists, its examples as blocks of code."""
    lines = _ROLE.sub(r"`\1`", docstring).replace("``", "`").splitlines()
    written: list[str] = []
    in_section = has_entries = in_example = False
    for line in lines:
        starts = line.lstrip().startswith(">>> ")
        if in_example and not line.strip():
            written.append("```")
            in_example = False
        if starts and not in_example:
            written.append("```python")
            in_example = True
        if in_example:
            written.append(line)
        elif _SECTION.fullmatch(line):
            in_section, has_entries = True, False
            written += [f"**{line[:-1]}**", ""]
        elif in_section and (entry := _ENTRY.fullmatch(line)):
            has_entries = True
            written.append(f"- `{entry[1]}`: {entry[2]}")
        elif in_section and line.strip():
            written.append(f"{'  ' if has_entries else ''}{line.strip()}")
        else:
            in_section = in_section and not line.strip()
            written.append(line)
    return "\n".join([*written, "```"] if in_example else written) + "\n"
