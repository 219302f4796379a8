"""Passwords that stay out of the command line, which every user of the machine can read."""

import os
import re
from collections.abc import Mapping
from urllib.parse import quote

from granet.app.console import Say, UsageError
from granet.app.credentials import mask
from runtime.sources.url import split_url

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def expanded(text: str, say: Say, environment: Mapping[str, str] = os.environ) -> str:
    """An address with every ``${NAME}`` replaced by that variable of the environment, as URLs quote it.

    What is no address is left as it is.

    Args:
        text: of the command line.
        say: is told of a password that everyone can see.
        environment: where the variables are.

    Raises:
        UsageError: if there is no such variable.
        UserError: if it cannot be an address.
    """
    if "://" not in text:
        return text
    if split_url(_VARIABLE.sub("", text)).password:
        say(
            f"{mask(text)}: its password is in the list of processes; write ${{NAME}} in its place and set "
            "that variable of the environment"
        )

    def value(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise UsageError(f"{mask(text)}: there is no variable {match[1]} in the environment")
        return quote(environment[match[1]], safe="")

    return _VARIABLE.sub(value, text)
