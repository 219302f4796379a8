"""A command has one options object, and no option of it goes unheard.

The fields of a frozen dataclass are the options of its command, see :func:`add_command`. The object knows
which of them the user typed, so that a run refuses what it would not use.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from granet.app.console import DebugOption, UsageError

Checkpoint = Annotated[Path, typer.Option("--ckpt", help="Checkpoint of GraNet: .pt or .safetensors.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked a command for.

    Attributes:
        given: the options that were typed, ``--size`` and the like, whatever their values.
        debug: read by :func:`granet.app.console.run_app`.
    """

    given: frozenset[str] = frozenset()
    debug: DebugOption = False

    def unused(self, option: str, beside: str, why: str) -> None:
        """Refuses ``option`` where it was typed and the run does not use it.

        Args:
            option: the option that would not be used.
            beside: the other option, or the default, that makes it so.
            why: a reason in a few words.

        Raises:
            UsageError: names the two.
        """
        if option in self.given:
            raise UsageError(f"{option} and {beside}: {why}: leave {option} out")

    def at_most_one(self, *options: str, why: str) -> None:
        """Refuses a second option that answers the same question.

        Raises:
            UsageError: names the first two.
        """
        typed = [option for option in options if option in self.given]
        if len(typed) > 1:
            raise UsageError(f"{typed[0]} and {typed[1]}: {why}: give one of them")


O_contra = TypeVar("O_contra", bound=Options, contravariant=True)


def add_command(app: typer.Typer, options: type[O_contra], run: Callable[[O_contra], None]) -> None:
    """Adds a command to ``app`` that has the name and the help of ``run`` and the fields of ``options``."""
    parameters = [_parameter("context", typer.Context), *_parameters(options)]

    def command(context: typer.Context, **values: Any) -> None:
        run(options(given=_typed(context), **values))

    command.__name__, command.__doc__ = run.__name__, run.__doc__
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    app.command()(command)


def _parameters(options: type[Options]) -> Iterator[inspect.Parameter]:
    """Of a command: a class's own fields stand before those that it shares with others."""
    hints = get_type_hints(options, include_extras=True)
    defaults = {field.name: field.default for field in fields(options)}
    for each in options.__mro__:
        for name in inspect.get_annotations(each):
            if name in defaults and name != "given":
                yield _parameter(name, hints[name], defaults.pop(name))


def _parameter(name: str, kind: Any, default: Any = MISSING) -> inspect.Parameter:
    empty = inspect.Parameter.empty
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=empty if default is MISSING else default,
        annotation=kind,
    )


def _typed(context: typer.Context) -> frozenset[str]:
    """Names of the options that the user wrote."""
    found = set()
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if source is not None and source.name == "COMMANDLINE":
            found.add(next((name for name in parameter.opts if name.startswith("--")), parameter.opts[0]))
    return frozenset(found)
