"""The logger of TensorRT: collects its messages, and shortens them to one line for people."""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from granet.app.console import detail
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
        """Collects warnings and errors; prints the rest with ``--verbose``."""

        def __init__(self) -> None:
            super().__init__()
            self.messages = Messages()

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.messages.errors.append(message)
            elif severity == trt.ILogger.WARNING:
                self.messages.warnings.append(message)
            elif severity == trt.ILogger.INFO:
                detail(plain(message))

    return Logger()


@contextmanager
def no_collection() -> Iterator[None]:
    """Collects garbage now, and not inside the context.

    TensorRT holds a lock while it calls a logger that is written in Python. If a collection begins in the
    logger and frees an earlier builder, runtime or engine, its destructor waits for that lock for ever.
    """
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
