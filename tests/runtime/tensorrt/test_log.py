import gc
from types import SimpleNamespace

import pytest

from export.tensorrt.interruptible import interruptible
from runtime.tensorrt.log import no_collection


class Builder:
    """Like an object of TensorRT: its destructor must not run while TensorRT logs."""

    def __init__(self, freed: list[str], where: list[str]) -> None:
        self.itself = self  # a cycle, which only the collector frees
        self._freed, self._where = freed, where

    def __del__(self) -> None:
        self._freed.append(self._where[-1])


def allocate_much() -> None:
    """Makes more objects than the youngest generation holds, many times over."""
    kept = [[index] for index in range(20 * gc.get_threshold()[0])]
    assert kept


def test_without_it_a_builder_is_freed_inside_and_with_it_before() -> None:
    freed, where = [], ["outside"]
    Builder(freed, where)
    where.append("inside")
    allocate_much()
    assert freed == ["inside"]  # the fault that it prevents
    freed.clear()
    where.append("outside")
    Builder(freed, where)
    with no_collection():
        where.append("inside")
        allocate_much()
    assert freed == ["outside"] and gc.isenabled()


def test_a_build_frees_what_earlier_builds_left_before_it_begins() -> None:
    freed, where = [], ["before"]
    Builder(freed, where)

    def work() -> int:
        where.append("inside")
        allocate_much()
        return 3

    assert interruptible(work, SimpleNamespace(fault=None, stopped=False)) == 3
    assert freed == ["before"] and gc.isenabled()


def test_collections_go_on_after_an_error() -> None:
    with pytest.raises(ValueError, match="no"), no_collection():
        raise ValueError("no")
    assert gc.isenabled()
