"""Checks of option values while the command line is read.

A value that no run could use is wrong usage, in every command, and is refused before a file is opened.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from granet.app.console import UsageError
from granet.errors import UserError


def checked(check: Callable[[Any], object]) -> Callable[[typer.CallbackParam, Any], Any]:
    """A ``typer.Option(callback=...)`` that refuses a value at once; one of a list is checked by itself.

    Args:
        check: raises a :class:`UserError` for a value that is not allowed; its result is not used.
    """

    def callback(parameter: typer.CallbackParam, value: Any) -> Any:
        for each in value if isinstance(value, list | tuple) else (value,):
            if each is not None:
                with wrong_value(max(parameter.opts, key=len)):
                    check(each)
        return value

    return callback


@contextmanager
def wrong_value(option: str) -> Iterator[None]:
    """Turns a :class:`UserError` about the value of ``option`` into wrong usage that names the option.

    Args:
        option: as ``--device``.

    Raises:
        UsageError: in place of a UserError from inside.
    """
    try:
        yield
    except UsageError:
        raise
    except UserError as error:
        text = str(error)
        raise UsageError(text if text.startswith(option) else f"{option}: {text}") from error
