"""``granet-run`` with an engine that needs no model: what the tests run in a process of its own."""

import os

import runtime.cli
import runtime.run.model
from runtime.engines.base import Engine
from tests.runtime.fakes import FakeEngine


def open_fake(*arguments: object, **options: object) -> Engine:
    seconds = float(os.environ.get("FAKE_SECONDS", "0"))
    return FakeEngine(invert="FAKE_INVERT" in os.environ, seconds=seconds)


runtime.run.model.open_engine = open_fake  # type: ignore[assignment]
if __name__ == "__main__":
    runtime.cli.main()
