"""The examples in the docstrings of the public names run as they stand."""

import doctest
import inspect
from typing import Any

import pytest

import granet
import runtime
from runtime.media.frame import Frame
from runtime.sinks.base import Sink

EXAMPLES = {
    test.name: test
    for package in (granet, runtime)
    for name in package.__all__
    for test in doctest.DocTestFinder(exclude_empty=True).find(getattr(package, name), name, globs={})
    if test.examples
}
WITH_EXAMPLE = {
    *granet.__all__,
    *runtime.__all__,
    *(
        f"{home.__name__}.{name}"
        for home in (runtime.Derainer, runtime.Result)
        for name, member in vars(home).items()
        if inspect.isfunction(member) and not name.startswith("_")
    ),
}


class NoScreen(Sink):
    """In the place of a window: the tests have no screen."""

    name = "nothing"

    def __init__(self, *arguments: object, **options: object) -> None:
        """Takes what a window takes."""

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Shows nothing."""


def test_every_public_class_and_method_has_an_example() -> None:
    assert {"Derainer.predict", "Derainer.close", "Result.save", "Result.show"} <= WITH_EXAMPLE
    assert WITH_EXAMPLE.difference(EXAMPLES) == set()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_example_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.sinks.window.WindowSink", NoScreen)
    runner: Any = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said: list[str] = []
    runner.run(EXAMPLES[name], out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)
