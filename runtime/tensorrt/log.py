"""Collects the log messages of TensorRT and shortens them to one line for people."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from runtime.tensorrt.flavour import Flavour

LONGEST = 300
"""Longest message that is shown to people, in characters."""


@dataclass
class Messages:
    """Collected messages, in order.

    Attributes:
        errors: messages of severity error and internal error.
        warnings: messages of severity warning.
    """

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def reason(self, otherwise: str) -> str:
        """The first error, which causes those after it; ``otherwise`` if there was none."""
        return plain(self.errors[0]) if self.errors else otherwise


def plain(message: str) -> str:
    """A TensorRT message without its C++ location: one line of at most :data:`LONGEST` characters.

    >>> plain("IBuilder::build: Error Code 9: Some Error (No kernel for 'conv1'. In f at /_src/a.cpp:12)")
    "Some Error (No kernel for 'conv1'.)"
    """
    text = " ".join(message.split())
    text = re.sub(r"\s*In \S+ at \S+\.(?:cpp|h):\d+", "", text)
    text = re.sub(r"^\S*(?:::|\[)\S*:? *(?=Error Code)", "", text)
    text = re.sub(r"Error Code \d+: ", "", text)
    text = re.sub(r"\[\w+\.cpp:+\w+:+ ?\w+\] ", "", text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


@contextmanager
def collected(flavour: Flavour) -> Iterator[tuple[Any, Messages]]:
    """Yields the flavour's logger and the messages that it collects within the context.

    TensorRT keeps the first logger of a process and complains about any other, so there is one per
    flavour. An ``IErrorRecorder`` is not used: one written in Python crashes TensorRT-RTX 1.7 when the
    builder is released, and receives nothing that the logger does not.
    """
    logger = _logger(flavour)
    messages, before = Messages(), logger.messages
    logger.messages = messages
    try:
        yield logger, messages
    finally:
        logger.messages = before


@cache
def _logger(flavour: Flavour) -> Any:
    trt = flavour.module

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        """Collects warnings and errors."""

        def __init__(self) -> None:
            super().__init__()
            self.messages = Messages()

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.messages.errors.append(message)
            elif severity == trt.ILogger.WARNING:
                self.messages.warnings.append(message)

    return Logger()
