"""Values that people save beside weights, and that are read as nothing: options, paths, dates, arrays.

Their classes are never imported nor called. Each name stands for a class of this module that takes anything.
A collection keeps its items, because weights may be among them; any other value keeps nothing.
"""

import re
import sys
from collections import OrderedDict
from collections.abc import ItemsView, Mapping
from typing import Any, Self

_BUILTINS = ("set", "frozenset", "complex", "slice", "range", "Ellipsis")
_TYPES = ("list", "dict", "tuple", "str", "bytes", "int", "float", "bool", "object")
_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
_DATES = ("date", "datetime", "time", "timedelta", "timezone")

_NAMES = frozenset(
    {
        "argparse.Namespace",
        "types.SimpleNamespace",
        "uuid.UUID",
        "decimal.Decimal",
        "fractions.Fraction",
        "random.Random",
        *(f"builtins.{name}" for name in _BUILTINS + _TYPES),
        *(f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in _PATHS),
        *(f"datetime.{name}" for name in _DATES),
    }
)
"""Full names of Python 3."""

_NUMPY = "numpy."
_SEQUENCES = frozenset({"collections.deque"})
_MAPPINGS = frozenset({"collections.defaultdict", "collections.ChainMap", "collections.UserDict"})

_CLASS = re.compile(r"(\w+)\.(?:\w+\.)*_*[A-Z]\w*")
"""A name that is written like that of a class."""

_NOT_THEIR_OWN = sys.stdlib_module_names | {"torch", "granet", "runtime"}
"""Modules whose classes are no options of somebody's training: those are refused by name."""


class Inert:
    """In place of a value that is not needed."""

    def __new__(cls, *arguments: Any) -> Self:
        """Takes the arguments of any constructor."""
        return super().__new__(cls)

    def __init__(self, *arguments: Any) -> None:
        """Keeps none of them."""

    def __setstate__(self, state: Any) -> None:
        """Takes any state."""


class AsList:
    """In place of a sequence."""

    def __new__(cls, *arguments: Any) -> Any:
        """An empty list, whatever the arguments."""
        return []


class AsMapping:
    """In place of a mapping, or of an object of somebody's own, whose attributes are set later."""

    def __new__(cls, *arguments: Any) -> Any:
        """An empty dictionary, whatever the arguments."""
        return OrderedDict()


def items_of(mapping: Mapping[Any, Any]) -> ItemsView[Any, Any]:
    """The items of a mapping of a file, whose attributes may hide its methods: somebody's ``items = 5``."""
    return type(mapping).items(mapping)


def stand_in(name: str) -> type[object] | None:
    """The class that is used for a full name in a pickle; ``None`` if the name may not be used.

    >>> stand_in("__main__.Options"), stand_in("os.system")
    (<class 'granet.weights.inert.AsMapping'>, None)
    """
    if name in _SEQUENCES:
        return AsList
    if name in _MAPPINGS:
        return AsMapping
    if name in _NAMES or name.startswith(_NUMPY):
        return Inert
    match = _CLASS.fullmatch(name)
    return AsMapping if match and match[1] not in _NOT_THEIR_OWN else None
