"""``granet-train --recipe``: options of a training in a TOML file.

The keys are the names of the options without the leading dashes. Options on the command line win.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
import typer
from msgspec import Meta

from granet.app.command import Options
from granet.app.console import UsageError
from granet.app.schema import read_toml
from granet.errors import UserError
from granet.training.options import TrainOptions

SUFFIX = ".toml"


def packaged_recipes() -> list[str]:
    """Names of the packaged recipes, which are those of the packaged weights."""
    found = resources.files("granet.training.recipes").iterdir()
    return sorted(item.name.removesuffix(SUFFIX) for item in found if item.name.endswith(SUFFIX))


def read_recipe(name: str, keys: Mapping[str, str]) -> dict[str, Any]:
    """Reads the options of a recipe.

    Args:
        name: name of a packaged recipe, or path of a ``.toml`` file.
        keys: the key in the file for each field of :class:`TrainOptions` that it may set.

    Returns:
        Values by field, in the form that the command line parser expects.

    Raises:
        UserError: if the recipe is missing, is not valid TOML, or has an unknown option or a wrong value.
    """
    kind = _file_type(keys)
    if name in packaged_recipes():
        with resources.as_file(resources.files("granet.training.recipes") / f"{name}{SUFFIX}") as path:
            found = read_toml(path, kind)
    elif Path(name).exists():
        found = read_toml(Path(name), kind)
    else:
        packaged = ", ".join(packaged_recipes())
        wrong = UserError if Path(name).suffix else UsageError
        raise wrong(f"--recipe {name}: no such file; the packaged recipes are {packaged}")
    values = {field: getattr(found, field) for field in keys}
    return {field: _as_typed(field, value) for field, value in values.items() if value is not None}


def _use_recipe(context: typer.Context, name: str | None) -> str | None:
    """Makes the options of a recipe the defaults of the command line."""
    if name is not None and not context.resilient_parsing:
        shared = {field.name for field in fields(Options)}
        own = {field.name for field in fields(TrainOptions)} - shared
        options = {str(each.name): each.opts[0].removeprefix("--") for each in context.command.params}
        context.default_map = read_recipe(name, {field: options[field] for field in options if field in own})
    return name


@dataclass(frozen=True, kw_only=True)
class TrainCommandOptions(TrainOptions):
    """The options on the command line: those of a training, and the file that gives some of them."""

    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            is_eager=True,
            callback=_use_recipe,
            help="Read options from a TOML file or a packaged recipe "
            f"({', '.join(packaged_recipes())}); options on the command line win.",
        ),
    ] = None


_TYPES = {name: get_args(hint) for name, hint in get_type_hints(TrainOptions, include_extras=True).items()}
"""Field -> its type and its :func:`typer.Option`."""


def _file_type(keys: Mapping[str, str]) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        "_RecipeFile",
        [(name, _in_toml(*_TYPES[name]), None) for name in keys],
        rename=keys,
        forbid_unknown_fields=True,
    )


def _in_toml(kind: Any, option: Any) -> Any:
    """The type of an option's value in a file."""
    if kind == list[str]:
        return list[str] | str
    (only,) = (each for each in get_args(kind) or (kind,) if each is not type(None))
    if issubclass(only, StrEnum):
        return Literal[tuple(each.value for each in only)]
    if only in (int, float):
        return Annotated[only, Meta(ge=option.min, le=option.max)]
    return {bool: bool, Path: str, str: str | int | list[int]}[only]


def _as_typed(field: str, value: Any) -> Any:
    """The value as the command line parser expects it; sizes in a list are joined by commas."""
    if _TYPES[field][0] == list[str]:
        return [value] if isinstance(value, str) else value
    return ",".join(map(str, value)) if isinstance(value, list) else value
