"""How pytest-xdist divides the tests among processes."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

LONG_FIRST = (
    "tests/test_docs.py::test_each_block",
    "tests/test_",
    "tests/export/",
    "tests/granet/training/",
    "tests/runtime/archive/",
    "tests/runtime/tensorrt/",
)
"""What takes minutes begins first, so that no process works on alone at the end."""


class ByFile(LoadFileScheduling):
    """What is in one file stays in one process, in its order; the blocks of a page count as a file."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # it would put files with many tests first

    def _split_scope(self, nodeid: str) -> str:
        page, _, _ = nodeid.rpartition(":")
        return page if nodeid.startswith(LONG_FIRST[0]) else super()._split_scope(nodeid)


def begin_with_the_longest(items: list[pytest.Item]) -> None:
    """Sorts by :data:`LONG_FIRST`; otherwise the order stays."""

    def place(item: pytest.Item) -> int:
        found = (index for index, start in enumerate(LONG_FIRST) if item.nodeid.startswith(start))
        return next(found, len(LONG_FIRST))

    items.sort(key=place)
