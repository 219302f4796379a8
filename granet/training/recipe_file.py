"""``granet-train --recipe``: options of a training in a TOML file.

The keys are the names of the options without the leading dashes. Options on the command line win.
"""

import tomllib
from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import Any

import typer

from granet.errors import UserError

SUFFIX = ".toml"


def packaged_recipes() -> list[str]:
    """Names of the packaged recipes, which are those of the packaged weights."""
    found = resources.files("granet.training.recipes").iterdir()
    return sorted(item.name.removesuffix(SUFFIX) for item in found if item.name.endswith(SUFFIX))


def read_recipe(name: str, known: Collection[str]) -> dict[str, Any]:
    """Reads the options of a recipe.

    Args:
        name: name of a packaged recipe, or path of a ``.toml`` file.
        known: names of the existing options.

    Returns:
        Values by option name.

    Raises:
        UserError: if the recipe is missing, is not valid TOML, or has an unknown option.
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
        packaged = ", ".join(packaged_recipes())
        raise UserError(f"--recipe {name}: no such file; the packaged recipes are {packaged}") from error
    except OSError as error:
        raise UserError(f"--recipe {name}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"--recipe {name}: not valid TOML: {error}") from error
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UserError(
            f"--recipe {name}: unknown option {unknown[0]!r}; the options are {', '.join(sorted(known))}"
        )
    return values


def use_recipe(context: typer.Context, name: str | None) -> str | None:
    """Callback of ``--recipe``: makes the options of a recipe the defaults of the command line.

    Args:
        context: the command.
        name: as in :func:`read_recipe`; ``None`` changes nothing.

    Raises:
        UserError: as :func:`read_recipe`, or if a value has the wrong type.
    """
    if name is not None and not context.resilient_parsing:
        known = {option.lstrip("-"): p for p in context.command.params for option in p.opts}
        values = read_recipe(name, known.keys() - {"recipe", "help", "debug"})
        context.default_map = {
            str(known[option].name): _as_typed(f"--recipe {name}: {option}", known[option], value)
            for option, value in values.items()
        }
    return name


def _as_typed(what: str, option: Any, value: Any) -> Any:
    """Converts a TOML value to the form that the command line parser expects."""
    if isinstance(value, bool) != option.is_flag:
        wanted = "true or false" if option.is_flag else "a number, a string or a list"
        raise UserError(f"{what}: expected {wanted}, not {str(value).lower()}")
    if option.multiple:
        return value if isinstance(value, list) else [value]
    return ",".join(map(str, value)) if isinstance(value, list) else value
