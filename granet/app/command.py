"""A command is a frozen dataclass: its fields are the options, and no option is ignored.

:func:`add_command` makes the command. The options object knows which options the user gave, so that a
command can refuse those that its run would not use.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, fields
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand

from granet.app.console import DebugOption, UsageError

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]

_CLOSE = 0.75
"""Similarity from which another option is suggested for one that does not exist."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base class of a command's options.

    Attributes:
        given: the options that the user gave, as ``--size``, in the order of ``--help``; an option that
            is given its default is in it.
        debug: read by :func:`granet.app.console.run_app`.
    """

    given: tuple[str, ...] = ()
    debug: DebugOption = False

    def refuse(self, *options: str, conflict: str | None, why: str) -> None:
        """Refuses those of ``options`` that the user gave.

        Args:
            options: each as ``--raw``.
            conflict: names the other side, as ``with --config`` or ``without --data``; ``None`` if
                the run uses the options.
            why: the reason, or what to give instead.

        Raises:
            UsageError: names both sides.
        """
        unused = [option for option in self.given if option in options]
        if unused and conflict is not None:
            raise UsageError(f"{unused[0]} {conflict}: {why}")

    def refuse_all_but(self, *options: str, conflict: str | None, why: str) -> None:
        """Refuses every given option that is not one of ``options``; see :meth:`refuse`."""
        self.refuse(*(option for option in self.given if option not in options), conflict=conflict, why=why)

    def at_most_one(self, *options: str, why: str) -> None:
        """Refuses a second option that answers the same question.

        Raises:
            UsageError: names the first two.
        """
        first = next((option for option in options if option in self.given), None)
        others = [option for option in options if option != first]
        self.refuse(*others, conflict=f"with {first}", why=f"{why}; give one of them")


O_contra = TypeVar("O_contra", bound=Options, contravariant=True)


def add_command(app: typer.Typer, options: type[O_contra], run: Callable[[O_contra], None]) -> None:
    """Adds a command to ``app``.

    Args:
        app: made with ``rich_markup_mode=None``.
        options: its fields are the parameters of the command: each type is annotated with a
            ``typer.Option`` or a ``typer.Argument``.
        run: gives the command its name and its help.
    """
    parameters = [_parameter("context", typer.Context), *_parameters(options)]

    def command(context: typer.Context, **values: Any) -> None:
        run(options(given=_given(context), **values))

    command.__name__, command.__doc__ = run.__name__, run.__doc__
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    app.command(cls=StrictCommand)(command)


class StrictCommand(TyperCommand):
    """A command that refuses an option given twice, where click would use the last one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See :class:`typer.core.TyperCommand`.

        Raises:
            UsageError: if an option that takes one value is given twice, or a value has no option.
        """
        try:
            _, left, order = self.make_parser(ctx).parse_args(args=[*args])
        except Exception as error:
            if hasattr(error, "possibilities") and hasattr(error, "option_name"):
                names = get_close_matches(error.option_name, error.possibilities or (), cutoff=_CLOSE)
                error.possibilities = names
            raise
        for parameter, count in Counter(order).items():
            if count > 1 and not parameter.multiple and not getattr(parameter, "is_flag", False):
                raise UsageError(f"{_long(parameter.opts)} is given {count} times: give it once")
        if left and not ctx.resilient_parsing:
            raise UsageError(self._stray(left[0]))
        return super().parse_args(ctx, args)

    def _stray(self, word: str) -> str:
        """The error for a value without an option; the first option that takes a value is the likeliest."""
        valued = [each for each in self.params if each.param_type_name == "option"]
        first = next((each for each in valued if not getattr(each, "is_flag", False)), None)
        hint = "--help lists the arguments" if first is None else f"did you mean {_long(first.opts)} {word}?"
        return f"unexpected argument {word}: {hint}"


def _parameters(options: type[Options]) -> Iterator[inspect.Parameter]:
    """The fields of a class: its own stand before those that it shares with others."""
    hints = get_type_hints(options, include_extras=True)
    defaults = {field.name: _default(field) for field in fields(options)}
    for each in options.__mro__:
        for name in inspect.get_annotations(each):
            if name in defaults and name != "given":
                yield _parameter(name, hints[name], defaults.pop(name))


def _default(field: "Field[Any]") -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _parameter(name: str, kind: Any, default: Any = MISSING) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=kind,
    )


def _given(context: typer.Context) -> tuple[str, ...]:
    """The options on this command line; a default is not given."""
    found = []
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if source is not None and source.name == "COMMANDLINE":
            found.append(_long(parameter.opts))
    return tuple(found)


def _long(names: list[str]) -> str:
    """The long form of an option."""
    return max(names, key=len)
