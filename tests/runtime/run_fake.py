"""``granet-run`` with an engine that needs no model: what the tests run in a process of its own."""

import os

import runtime.cli
from runtime.engine import Engine
from tests.runtime.fakes import FakeEngine


def open_fake(*arguments: object) -> Engine:
    return FakeEngine(seconds=float(os.environ.get("FAKE_SECONDS", "0")))


runtime.cli.open_engine = open_fake  # type: ignore[assignment]
if __name__ == "__main__":
    runtime.cli.main()
