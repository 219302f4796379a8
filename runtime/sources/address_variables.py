"""Environment variables in addresses, which keep passwords out of the public process list."""

import os
import re
from collections.abc import Mapping
from urllib.parse import quote

from granet.app.console import Say, UsageError
from granet.app.credentials import mask
from runtime.sources.url import split_url

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def expanded(text: str, say: Say, environment: Mapping[str, str] = os.environ) -> str:
    """Replaces every ``${NAME}`` in an address with that environment variable, URL-quoted.

    Text that is not an address is returned unchanged.

    Args:
        text: an argument of the command line.
        say: called with a warning if the argument contains a password.
        environment: the environment variables.

    Raises:
        UsageError: if a variable is not set.
        UserError: if the address is invalid.
    """
    if "://" not in text:
        return text
    if split_url(_VARIABLE.sub("", text)).password:
        say(
            f"{mask(text)}: the password is visible in the process list; write ${{NAME}} instead and set "
            "that environment variable"
        )

    def value(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise UsageError(f"{mask(text)}: environment variable {match[1]} is not set; set it first")
        return quote(environment[match[1]], safe="")

    return _VARIABLE.sub(value, text)
