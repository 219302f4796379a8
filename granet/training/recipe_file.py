"""A training's options in a TOML file: what ``granet-train --recipe`` reads.

Its keys are the names of the options, without the dashes in front; what the command line gives wins.
"""

from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import Any

import tomllib

from granet.errors import UserError

SUFFIX = ".toml"


def packaged_recipes() -> list[str]:
    """Names of the recipes that come along: those of the packaged weights."""
    found = resources.files("granet.training.recipes").iterdir()
    return sorted(item.name.removesuffix(SUFFIX) for item in found if item.name.endswith(SUFFIX))


def read_recipe(name: str, known: Collection[str]) -> dict[str, Any]:
    """Options by name.

    Args:
        name: of a recipe that comes along, or the path of a ``.toml`` file.
        known: names of the options there are.

    Raises:
        UserError: if there is no such recipe, it is not TOML, or it has an option that does not exist.
    """
    try:
        if name in packaged_recipes():
            text = (resources.files("granet.training.recipes") / f"{name}{SUFFIX}").read_text(
                encoding="utf-8"
            )
        else:
            text = Path(name).read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError as error:
        there = ", ".join(packaged_recipes())
        raise UserError(f"--recipe {name}: no such file; the packaged recipes are {there}") from error
    except OSError as error:
        raise UserError(f"--recipe {name}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"--recipe {name}: not valid TOML: {error}") from error
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UserError(
            f"--recipe {name}: no option {unknown[0]!r}; the options are {', '.join(sorted(known))}"
        )
    return values
