"""Says how weights differ from a network: which names are missing, and which are nearest to them."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

import torch

from granet.config import GraNetConfig
from granet.errors import UserError
from granet.model import GraNet

Shape = tuple[int, ...]

CONVERT = "python -m granet.training.convert FILE NEW"
HOW_TO_MAP = f"{CONVERT} --map OLD=NEW renames (granet-export inspect --json FILE lists both)"
"""The way that works for every command; some have ``--map`` themselves."""

_SHOWN = 2
_LONGEST = 30
_COMPARABLE = 80
_COMPARED = 300
_CLOSE = 0.6
_MOSTLY = 0.5


class MismatchError(UserError):
    """The weights are not those of the network.

    Attributes:
        shapes: shapes of all tensors of the file, by name; empty if no file is known.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.shapes: dict[str, Shape] = {}


def expected_shapes(config: GraNetConfig) -> dict[str, Shape]:
    """Names and shapes of the parameters of a network, in its order; allocates none of them."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in GraNet(config).state_dict().items()}


def require_fit(config: GraNetConfig, found: Mapping[str, Shape], left_out: Collection[str] = ()) -> None:
    """Requires exactly the parameters of ``config``.

    Args:
        config: configuration of the network.
        found: shapes of the weights by GraNet's names.
        left_out: other names of the file, among which a misspelt one may be.

    Raises:
        MismatchError: names the first difference, and the nearest name if one is missing.
    """
    expected = expected_shapes(config)
    missing, surplus = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    wrong = [name for name in expected if name in found and found[name] != expected[name]]
    if not (missing or surplus or wrong):
        return
    others = len(missing) + len(surplus) + len(wrong) - 1
    more = f" (and {others} more)" if others else ""
    if wrong:
        what = f"{wrong[0]} is {found[wrong[0]]}, expected {expected[wrong[0]]}{more}"
    elif missing:
        what = f"it lacks {missing[0]}{more}{_hint(missing[0], [*surplus, *left_out])}"
    else:
        what = f"it has {shortened(surplus[0])}, which that network lacks{more}"
    raise MismatchError(f"its weights do not fit its configuration: {what}")


def another_network(found: Collection[str], left_out: Collection[str]) -> MismatchError:
    """The error for weights whose names do not even give the widths of a network.

    Args:
        found: names that could be GraNet's.
        left_out: all others.
    """
    expected = expected_shapes(GraNetConfig.paper())
    missing = [name for name in expected if name not in found]
    names = sorted({*found, *left_out} - expected.keys())
    if len(expected) - len(missing) >= _MOSTLY * len(expected):
        return MismatchError(f"it lacks {missing[0]}{_hint(missing[0], names)}")
    pair = _nearest_pair(missing, names)
    nearest = f"; nearest: {shortened(pair[0])} and {pair[1]}" if pair else ""
    return MismatchError(
        f"a checkpoint of another network: it has {listed(names)}; GraNet has {listed(list(expected))}"
        f"{nearest}; {HOW_TO_MAP}"
    )


def listed(names: Collection[str]) -> str:
    """The first names and the number of the others."""
    shown = ", ".join(map(shortened, list(names)[:_SHOWN]))
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def shortened(name: str) -> str:
    """A name from a file, short enough for a message."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."


def _hint(missing: str, names: Iterable[str]) -> str:
    names = list(names)
    near = _nearest(missing, names)
    return f"; nearest is {near}: {HOW_TO_MAP}" if near else f"; {HOW_TO_MAP}" if names else ""


def _nearest(wanted: str, names: Iterable[str]) -> str | None:
    # A hostile file may have any number of names of any length.
    short = [name for name in names if len(name) <= _COMPARABLE][:_COMPARED]
    return next(iter(get_close_matches(wanted, short, 1, _CLOSE)), None)


def _nearest_pair(expected: Iterable[str], names: Iterable[str]) -> tuple[str, str] | None:
    names = list(names)
    pairs = ((_nearest(wanted, names), wanted) for wanted in list(expected)[:_COMPARED])
    return next(((near, wanted) for near, wanted in pairs if near), None)
