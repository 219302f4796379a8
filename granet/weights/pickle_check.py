"""Checks a pickle of ``torch.save`` before anything of it is loaded.

``torch.load(weights_only=True)`` runs no foreign code, but it sets no limits: a pickle of a few bytes can
ask it for gigabytes (``bytearray(5 * 10**9)``), and one of deeply nested values crashes the interpreter. This
module interprets the pickle without creating what it describes. It knows only the opcodes and the functions
that weights need; everything else is refused. The bytes that were checked are the bytes to load.
"""

import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from granet.errors import UserError
from granet.weights import pickle_calls as calls
from granet.weights.pickle_calls import Container, Global, Storage, Tuple, depth_of

MOST_OPERATIONS = 1_000_000
"""Opcodes and copied items; the checkpoint of a network with its optimiser needs some ten thousand."""

DEEPEST = 40
"""Levels of nesting; a checkpoint needs about six."""

_ARGUMENT_BYTES = {"K": 1, "M": 2, "J": 4, "G": 8, "q": 1, "r": 4, "h": 1, "j": 4, "\x80": 1}
_NUMBERS = {"K": "<B", "M": "<H", "J": "<i", "G": ">d", "q": "<B", "r": "<I", "h": "<B", "j": "<I"}
_CONSTANTS = {"N": None, "\x88": True, "\x89": False}
_PROTOCOL = 2
_LONGEST_NAME = 300


class _MalformedError(Exception):
    """The bytes are not a pickle that ``torch.save`` writes."""


@dataclass(frozen=True)
class CheckedPickle:
    """The result of a check.

    Attributes:
        end: position after the pickle.
        value: its value, with a :class:`Container` for each list, dictionary and tensor.
        storages: the storages that it refers to, by key.
        names: full names of the functions and classes in it.
    """

    end: int
    value: Any
    storages: dict[str, Storage]
    names: frozenset[str]


def check_pickle(data: bytes, start: int = 0) -> CheckedPickle:
    """Checks the pickle that begins at ``start``.

    Args:
        data: the bytes that will be loaded.
        start: position of the first opcode.

    Raises:
        UserError: if the pickle is damaged, holds more than weights, or would take more memory than its
            size justifies.
    """
    machine = _Machine(data, start)
    try:
        return machine.run()
    except (
        _MalformedError,
        IndexError,
        KeyError,
        struct.error,
        UnicodeDecodeError,
        calls.MisuseError,
    ) as error:
        raise UserError(
            f"it is damaged, or a pickle that torch.save did not write; {calls.TAKE_OUT}"
        ) from error


class _Machine:
    """The pickle machine of protocol 2, with values that are only described."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data, self._at = data, start
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._operations = 0
        self._storages: dict[str, Storage] = {}
        self._names: set[str] = set()
        self._handlers: dict[str, Callable[[], None]] = {
            "(": lambda: self._marks.append(len(self._stack)),
            ")": lambda: self._push(Tuple((), 1)),
            "]": lambda: self._push(Container("list")),
            "}": lambda: self._push(Container("dict")),
            "t": lambda: self._tuple(self._to_mark()),
            "\x85": lambda: self._tuple(self._pop(1)),
            "\x86": lambda: self._tuple(self._pop(2)),
            "\x87": lambda: self._tuple(self._pop(3)),
            "a": lambda: self._fill("list", self._pop(1)),
            "e": lambda: self._fill("list", self._to_mark()),
            "s": lambda: self._fill("dict", self._pop(2)),
            "u": lambda: self._fill("dict", self._to_mark()),
            "X": self._text,
            "U": self._short_text,
            "\x8a": self._long,
            "c": self._global,
            "R": self._reduce,
            "\x81": self._new_object,
            "b": self._build,
            "Q": self._persistent,
        }

    def run(self) -> CheckedPickle:
        while True:
            code = chr(self._read(1)[0])
            self._count(1)
            if code == ".":
                return CheckedPickle(self._at, self._stack.pop(), self._storages, frozenset(self._names))
            self._step(code)

    def _step(self, code: str) -> None:
        if code in self._handlers:
            self._handlers[code]()
        elif code in _CONSTANTS:
            self._push(_CONSTANTS[code])
        elif code in _ARGUMENT_BYTES:
            self._with_argument(code, self._read(_ARGUMENT_BYTES[code]))
        else:
            raise _MalformedError

    def _with_argument(self, code: str, argument: bytes) -> None:
        if code == "\x80":
            if argument[0] != _PROTOCOL:
                raise UserError(
                    f"it is a pickle of protocol {argument[0]}, not {_PROTOCOL}: where it loads, save the "
                    "weights with torch.save and without pickle_protocol"
                )
            return
        (number,) = struct.unpack(_NUMBERS[code], argument)
        if code in "qr":
            self._memo[number] = self._stack[-1]
        else:
            self._push(self._memo[number] if code in "hj" else number)

    def _read(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if len(found) < count:
            raise _MalformedError
        self._at += count
        return found

    def _count(self, operations: int) -> None:
        self._operations += operations
        if self._operations > MOST_OPERATIONS:
            raise UserError("it holds far more values than a network and its training: not a checkpoint")

    def _push(self, value: Any) -> None:
        self._check_depth(value)
        self._stack.append(value)

    def _check_depth(self, value: Any) -> None:
        if depth_of(value) > DEEPEST:
            raise UserError(f"its values are nested more than {DEEPEST} deep: it is damaged or hostile")

    def _pop(self, count: int) -> list[Any]:
        first = len(self._stack) - count
        if first < (self._marks[-1] if self._marks else 0):
            raise _MalformedError
        found = self._stack[first:]
        del self._stack[first:]
        return found

    def _to_mark(self) -> list[Any]:
        return self._pop(len(self._stack) - self._marks.pop())

    def _tuple(self, items: list[Any]) -> None:
        for item in items:
            calls.close(item)
        self._push(Tuple(tuple(items), 1 + max(map(depth_of, items), default=0)))

    def _fill(self, kind: str, items: list[Any]) -> None:
        calls.fill(self._stack[-1], kind, items)
        self._check_depth(self._stack[-1])

    def _text(self) -> None:
        (length,) = struct.unpack("<I", self._read(4))
        self._push(self._read(length).decode("utf-8"))

    def _short_text(self) -> None:
        self._push(self._read(self._read(1)[0]).decode("utf-8"))  # Python 2 wrote names in this form

    def _long(self) -> None:
        self._push(int.from_bytes(self._read(self._read(1)[0]), "little", signed=True))

    def _line(self) -> str:
        end = self._data.find(b"\n", self._at, self._at + _LONGEST_NAME)
        if end < 0:
            raise _MalformedError
        line = self._data[self._at : end].decode("utf-8")
        self._at = end + 1
        return line

    def _global(self) -> None:
        found = Global(_name_in_python_3(self._line(), self._line()))
        calls.require_known(found)
        self._names.add(str(found))
        self._push(found)

    def _reduce(self) -> None:
        function, arguments = self._pop(2)
        result, copied = calls.call(function, arguments)
        self._count(copied)
        self._push(result)

    def _new_object(self) -> None:
        kind, arguments = self._pop(2)
        self._push(calls.new_object(kind, arguments))

    def _build(self) -> None:
        (state,) = self._pop(1)
        calls.build(self._stack[-1], state)
        self._check_depth(self._stack[-1])

    def _persistent(self) -> None:
        (identity,) = self._pop(1)
        storage = calls.storage_of(identity)
        known = self._storages.setdefault(storage.key, storage)
        if known.bytes < storage.bytes:
            raise _MalformedError
        self._push(storage)


def _name_in_python_3(module: str, name: str) -> str:
    """The full name that a loader looks up: protocol 2 has the names of Python 2."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"
