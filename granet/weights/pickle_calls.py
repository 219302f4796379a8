"""The names and calls that a pickle of weights may use; arguments are checked as strictly as names."""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from granet.errors import UserError
from granet.weights.inert import AsList, AsMapping, Inert, stand_in

ITEM_BYTES = {
    "torch.DoubleStorage": 8, "torch.FloatStorage": 4, "torch.HalfStorage": 2, "torch.BFloat16Storage": 2,
    "torch.LongStorage": 8, "torch.IntStorage": 4, "torch.ShortStorage": 2, "torch.CharStorage": 1,
    "torch.ByteStorage": 1, "torch.BoolStorage": 1, "torch.ComplexFloatStorage": 8,
    "torch.ComplexDoubleStorage": 16, "torch.storage.UntypedStorage": 1,
}  # fmt: skip
"""Storage classes -> bytes of an item."""

_TENSORS = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
_PARAMETER = "torch._utils._rebuild_parameter"
_ENCODE = "_codecs.encode"
_ORDERED, _COUNTER, _SIZE = "collections.OrderedDict", "collections.Counter", "torch.Size"
_CALLS = {*_TENSORS, _PARAMETER, _ENCODE, _ORDERED, _COUNTER, _SIZE, "torch.device"}
_TORCH_TYPE = re.compile(r"torch\.(?:u?int(?:8|16|32|64)|float(?:16|32|64)|bfloat16|bool|complex(?:64|128))")
_OTHER_TENSORS = ("torch._utils._rebuild_", "torch._tensor._rebuild_", "torch.serialization._get_layout")
_BYTES_OF_ITEM = 64
"""Bytes of a text that count as one copied item."""

_LARGEST_KEY = 2**31

_KINDS: dict[type[object], str] = {Inert: "inert", AsList: "list", AsMapping: "ordered"}

TAKE_OUT = "where it loads, save the weights alone: torch.save(network.state_dict(), FILE)"


class MisuseError(Exception):
    """A known function, but not as ``torch.save`` writes it."""


class Global(str):
    """A function or class by its full name."""

    __slots__ = ()


class Tuple(NamedTuple):
    """A tuple and its depth."""

    items: tuple[Any, ...]
    depth: int


@dataclass(slots=True)
class Container:
    """A list, a dictionary or the result of a call.

    Attributes:
        kind: ``list``, ``dict``, ``ordered``, ``tensor``, ``bytes`` or ``inert``.
        items: number of items.
        depth: levels of nesting below and including it.
        closed: whether it is part of another one. Then it may not grow, which keeps ``depth`` true.
    """

    kind: str
    items: int = 0
    depth: int = 1
    closed: bool = False


class Storage(NamedTuple):
    """A reference to the numbers of tensors.

    Attributes:
        key: name of the record that holds them.
        bytes: their size.
    """

    key: str
    bytes: int


def depth_of(value: Any) -> int:
    """Levels of nesting of a value."""
    return value.depth if isinstance(value, Tuple | Container) else 0


def close(value: Any) -> None:
    """Marks a container as part of another one."""
    if isinstance(value, Container):
        value.closed = True


def require_known(name: Global) -> None:
    """Refuses a function or class that weights do not need.

    Raises:
        UserError: names it.
    """
    if name in _CALLS or name in ITEM_BYTES or stand_in(name) or _TORCH_TYPE.fullmatch(name):
        return
    if name.startswith(_OTHER_TENSORS):
        raise UserError(
            f"it does not consist of plain weights ({name}): save dense tensors of the state_dict, on the CPU"
        )
    raise _would_run(name)


def new_object(kind: Any, arguments: Any) -> Container:
    """The instance of a class that is read as nothing.

    Raises:
        UserError: if it is another class.
        MisuseError: if it is none.
    """
    _require(isinstance(kind, Global) and isinstance(arguments, Tuple))
    if stand_in(kind) is None:
        raise _would_run(kind)
    return _stand_in(kind, 1 + arguments.depth)


def _would_run(name: str) -> UserError:
    return UserError(
        f"refused, because loading it would run {name}: "
        f"it holds more than weights; {TAKE_OUT}, or use granet.save_checkpoint"
    )


def _stand_in(name: str, depth: int) -> Container:
    return Container(_KINDS[stand_in(name) or Inert], depth=depth)


def fill(container: Any, kind: str, items: list[Any]) -> None:
    """Appends to a list, or sets items of a dictionary.

    Raises:
        MisuseError: if it is another kind of value or already part of another one, or a key is not simple.
    """
    _require(isinstance(container, Container) and not container.closed)
    _require(container.kind == "list" if kind == "list" else container.kind in ("dict", "ordered"))
    if kind == "dict":
        _require(len(items) % 2 == 0 and all(map(_is_key, items[::2])))
    for item in items:
        container.depth = max(container.depth, 1 + depth_of(item))
        close(item)
    container.items += len(items)


def _is_key(value: Any) -> bool:
    """Strings are hashed with a secret, small integers cannot be made to collide, nor can Inert."""
    if isinstance(value, int):
        return -_LARGEST_KEY <= value < _LARGEST_KEY
    return value is None or _is(value, "inert") or (isinstance(value, str) and not isinstance(value, Global))


def call(function: Any, arguments: Any) -> tuple[Any, int]:
    """The result of a call, and how many items it copies.

    Raises:
        MisuseError: for another function, or arguments that ``torch.save`` does not write.
    """
    _require(isinstance(function, Global) and isinstance(arguments, Tuple))
    given = arguments.items
    depth = 1 + arguments.depth
    if function in _TENSORS:
        _require(len(given) >= 4 and isinstance(given[0], Storage))
        return Container("tensor", depth=depth), 0
    if function == _PARAMETER:
        _require(len(given) == 3 and _is(given[0], "tensor"))
        return Container("tensor", depth=depth), 0
    if function in (_ORDERED, _COUNTER, _SIZE):
        return _copied(function, given, depth)
    if function == _ENCODE:
        _require(len(given) == 2 and type(given[0]) is str and given[1] == "latin1")
        return Container("bytes", len(given[0])), len(given[0]) // _BYTES_OF_ITEM
    if function == "torch.device":
        _require(0 < len(given) < 3 and type(given[0]) is str)
        return None, 0
    _require(stand_in(function) is not None)
    return _stand_in(function, depth), 0


def _copied(function: str, given: tuple[Any, ...], depth: int) -> tuple[Any, int]:
    """A collection of the items of another one."""
    _require(len(given) <= 1)
    if function == _SIZE:
        _require(len(given) == 1 and isinstance(given[0], Tuple))
        return Tuple(given[0].items, depth), len(given[0].items)
    if not given:
        return Container("ordered"), 0
    _require(_is(given[0], "dict") if function == _COUNTER else False)
    return Container("ordered", given[0].items, depth), given[0].items


def build(target: Any, state: Any) -> None:
    """Sets the attributes of a dictionary or a value that is not needed.

    Raises:
        MisuseError: for anything else.
    """
    _require(_is(target, "inert") or (_is(target, "ordered") and _is(state, "dict")))
    _require(not target.closed)
    target.depth = max(target.depth, 1 + depth_of(state))
    close(state)


def storage_of(identity: Any) -> Storage:
    """The storage that a persistent identity describes.

    Raises:
        MisuseError: if it describes something else.
    """
    _require(isinstance(identity, Tuple) and len(identity.items) in (5, 6))
    what, kind, key, location, count, *view = identity.items
    _require(what == "storage" and isinstance(kind, Global) and kind in ITEM_BYTES)
    _require(type(key) is str and type(location) is str and type(count) is int and count >= 0)
    _require(view in ([], [None]))
    return Storage(key, count * ITEM_BYTES[kind])


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, Container) and value.kind == kind


def _require(condition: bool) -> None:
    if not condition:
        raise MisuseError
