"""A command is a frozen dataclass: its fields are the options, and no option is ignored.

:func:`add_command` makes the command. The options object knows which options the user gave, so that a
command can refuse those that its run would not use.
"""

import inspect
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import OptionInfo

from granet.app.console import DebugOption, UsageError
from granet.app.results import print_line
from granet.app.run_details import run_details
from granet.app.spelled_elsewhere import as_typed, our_command, our_option
from granet.app.verbosity import QuietOption, VerboseOption, Verbosity, chosen

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]

AMERICAN = {"isation": "ization", "ise": "ize", "colour": "color"}
"""Ending or word of an option -> its American spelling, which every option has as a hidden alias."""

EVERYWHERE = ("--debug", "--verbose", "--quiet")
"""Options that every run of every command uses."""

OUTPUT = "--output"
"""The option of the result, in every command that has one."""

WITH_HELP: Mapping[str, Any] = {"help_option_names": ["--help", "-h"]}
"""Settings of every command and group."""

_METAVARS: Mapping[Any, str] = {int: "N", float: "N", Path: "PATH"}
"""Type of an option -> what stands for its value in the help."""

_CLOSE = 0.75
"""Similarity from which another option is suggested for one that does not exist."""


def _print_version(asked: bool) -> None:
    if asked:
        # Looked up here: an import of the package would count as one of the network, which needs torch.
        print_line(f"granet-deploy {import_module('granet').__version__}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
]
"""Every command declares this option."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base class of a command's options.

    Attributes:
        given: the options that the user gave, as ``--size``, in the order of ``--help``; an option that
            is given its default is in it, and so is one that a file of options sets.
        debug: read by :func:`granet.app.console.run_app`.
        version: ends the command before its options are made.
        verbose: see :mod:`granet.app.verbosity`.
        quiet: the same.
    """

    positional: ClassVar[str] = ""
    """The option whose value may stand alone, as in ``granet-run clip.mp4``; empty for none."""

    results: ClassVar[tuple[str, ...]] = ()
    """Endings that a name after :data:`OUTPUT` may have; empty for any."""

    given: tuple[str, ...] = ()
    debug: DebugOption = False
    version: VersionOption = False
    verbose: VerboseOption = False
    quiet: QuietOption = False

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

    @property
    def verbosity(self) -> Verbosity:
        """How much the command prints on stderr."""
        if self.quiet:
            return Verbosity.QUIET
        return Verbosity.VERBOSE if self.verbose else Verbosity.NORMAL

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
        made = options(given=_given(context), **values)
        made.at_most_one("--verbose", "--quiet", why="one prints more, the other less")
        with chosen(made.verbosity), run_details():
            run(made)

    command.__name__, command.__doc__ = run.__name__, run.__doc__
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    named = {"positional": options.positional, "results": options.results}
    app.command(cls=type("Command", (StrictCommand,), named), context_settings=dict(WITH_HELP))(command)


class StrictCommand(TyperCommand):
    """A command that refuses an option given twice and a number that is not finite.

    Click would use the last of two, and nan passes comparisons with a limit.

    Attributes:
        positional: see :class:`Options`.
        results: see :class:`Options`.
    """

    positional: ClassVar[str] = ""
    results: ClassVar[tuple[str, ...]] = ()

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """See :class:`typer.core.TyperCommand`."""
        value = [f"[{self.positional.lstrip('-').upper()}]"] if self.positional else []
        return [*super().collect_usage_pieces(ctx), *value]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See :class:`typer.core.TyperCommand`.

        Raises:
            UsageError: if an option that takes one value is given twice or has an empty value, a value has no
                option, or a number is not finite.
        """
        args = [self._our_spelling(word) for word in args]
        try:
            values, left, order = self.make_parser(ctx).parse_args(args=[*args])
        except Exception as error:
            if hasattr(error, "possibilities") and hasattr(error, "option_name"):
                self._name_ours(as_typed(error.option_name, args))
                names = get_close_matches(error.option_name, error.possibilities or (), cutoff=_CLOSE)
                error.possibilities = names
            raise
        takes_it = self.positional and all(self.positional not in each.opts for each in order)
        if len(left) == 1 and takes_it and not ctx.resilient_parsing:
            args, values, left, order = self._named(ctx, args, values, left, order)
        for parameter, count in Counter(order).items():
            if count > 1 and not parameter.multiple and not getattr(parameter, "is_flag", False):
                raise UsageError(f"{_long(parameter.opts)} is given {count} times: give it once")
            if "" in _as_list(values.get(parameter.name)):  # as of a shell's variable that is not set
                raise UsageError(f"{_spoken(parameter)} is empty: give a value, or leave it out")
        if left and not ctx.resilient_parsing:
            raise UsageError(self._stray(left, order, values))
        rest = super().parse_args(ctx, args)
        for each in self.params:
            _require_finite(_long(each.opts), ctx.params.get(str(each.name)))
        return rest

    def _name_ours(self, typed: str) -> None:
        """Says what an unknown option is called here, if other programs have it under that name.

        Raises:
            UsageError: names both.
        """
        known = [*(option for each in self.params for option in each.opts), *map(_spoken, self.params)]
        ours = our_option(typed, known)
        if ours is not None:
            kind = "" if ours.startswith("-") else "the argument "
            raise UsageError(f"No such option: {typed}; here it is {kind}{ours} (--help lists the options)")

    def _named(
        self, ctx: Any, args: list[str], values: dict[str, Any], left: list[str], order: list[Any]
    ) -> tuple[list[str], dict[str, Any], list[str], list[Any]]:
        """Gives the value that stands alone the name of its option: ``SRC`` as ``--input=SRC``."""
        for place, word in enumerate(args):
            if word == left[0]:
                named = [*args[:place], f"{self.positional}={word}", *args[place + 1 :]]
                values_now, still_left, order_now = self.make_parser(ctx).parse_args(args=[*named])
                if not still_left:  # else this word is the value of another option
                    return named, values_now, still_left, order_now
        return args, values, left, order

    def _our_spelling(self, word: str) -> str:
        """``--synthesize=DIR`` as ``--synthesise=DIR``, if the command has that option.

        A word that is the value of another option is not an option of this command, unless it is written
        like one, which click would not accept as a value either.
        """
        name, equals, value = word.partition("=")
        ours = {american(option): option for each in self.params for option in each.opts}
        return ours.get(name, name) + equals + value if name.startswith("--") else word

    def _stray(self, left: list[str], order: list[Any], values: dict[str, Any]) -> str:
        """The error for values without an option: names the first, and the option that is the likeliest.

        Args:
            left: the values.
            order: the parameters that are given.
            values: their values by the name of the parameter.
        """
        free = [
            each
            for each in self.params
            if each.param_type_name == "option" and not getattr(each, "is_flag", False) and each not in order
        ]
        first = next((each for each in free if self.positional in each.opts), None)
        word = left[1] if first is not None and len(left) > 1 else left[0]
        if first is None or len(left) > 1:
            free = self._behind_the_input([each for each in free if each is not first])
        if free and OUTPUT in free[0].opts and self.results and not word.lower().endswith(self.results):
            return (
                f"unexpected argument {word}: {self._input(left, values)} is given too; give one of the two"
            )
        name, equals, value = word.partition("=")
        if equals and any(f"--{name}" in each.opts for each in self.params):
            hint = f"did you mean --{name} {value}?"
        else:
            hint = f"did you mean {_long(free[0].opts)} {word}?" if free else "--help lists the arguments"
        return f"unexpected argument {word}: {hint}"

    def _input(self, left: list[str], values: dict[str, Any]) -> str:
        """The input of the command: an argument, or the value of the option that may stand alone."""
        taken = (
            values.get(str(each.name))
            for each in self.params
            if each.param_type_name == "argument" or self.positional in each.opts
        )
        return next((str(value) for value in taken if isinstance(value, str)), left[0])

    def _behind_the_input(self, free: list[Any]) -> list[Any]:
        """The options that a second value may be for, if the first is the input of the command."""
        if not self.positional and all(each.param_type_name == "option" for each in self.params):
            return free
        return [each for each in free if each.required] + [each for each in free if OUTPUT in each.opts]


class StrictGroup(TyperGroup):
    """Commands under one name, whose errors say where a command or an option belongs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See :class:`typer.core.TyperGroup`.

        Raises:
            UsageError: for an option that stands before the command.
        """
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if hasattr(error, "option_name"):
                raise UsageError(
                    f"{error.option_name} before the command: write {ctx.info_name} COMMAND "
                    f"{error.option_name} (--help lists the commands)"
                ) from error
            raise

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """See :class:`typer.core.TyperGroup`.

        Raises:
            UsageError: for a command that does not exist.
        """
        word = args[0]
        if self.get_command(ctx, word) is None and not ctx.resilient_parsing:
            close = get_close_matches(word, self.list_commands(ctx), n=1)
            ours = our_command(word) or next(iter(close), None)
            hint = "" if ours is None else f"; did you mean {ours}?"
            raise UsageError(f"No such command {word!r}{hint} (--help lists the commands)")
        return super().resolve_command(ctx, args)


def american(option: str) -> str:
    """The American spelling of ``--synthesise`` or ``--colour``; the option itself if there is no other."""
    for ours, theirs in AMERICAN.items():
        option = re.sub(rf"{ours}(?=-|$)", theirs, option)
    return option


def _as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _spoken(parameter: Any) -> str:
    """An option as ``--size``, an argument as ``SRC``."""
    is_option = parameter.param_type_name == "option"
    return _long(parameter.opts) if is_option else str(parameter.metavar or parameter.name).strip("[]{}")


def _require_finite(option: str, value: Any) -> None:
    for each in _as_list(value):
        if isinstance(each, float) and not math.isfinite(each):
            raise UsageError(f"{option} {each}: expected a finite number")


def _parameters(options: type[Options]) -> Iterator[inspect.Parameter]:
    """The fields of a class: its own stand before those that it shares with others."""
    hints = get_type_hints(options, include_extras=True)
    defaults = {field.name: _default(field) for field in fields(options)}
    for each in options.__mro__:
        for name in inspect.get_annotations(each):
            if name in defaults and name != "given":
                yield _parameter(name, _with_metavar(hints[name]), defaults.pop(name))


def _with_metavar(hint: Any) -> Any:
    """An option of numbers or paths stands as ``--batch N`` in the help, and not with a type of Python."""
    kinds = [each for each in get_args(get_args(hint)[0]) or get_args(hint)[:1] if each is not NoneType]
    kind = (get_args(kinds[0]) or kinds)[0]
    for each in get_args(hint)[1:]:
        if isinstance(each, OptionInfo) and each.metavar is None:
            each.metavar = _METAVARS.get(kind)
    return hint


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
    """The options on this command line or in ``context.default_map``; a default is not given."""
    found = []
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        switched_off = context.params.get(str(parameter.name)) is False
        if source is not None and (
            source.name == "COMMANDLINE" or (source.name == "DEFAULT_MAP" and not switched_off)
        ):
            found.append(_long(parameter.opts))
    return tuple(found)


def _long(names: list[str]) -> str:
    """The long form of an option."""
    return max(names, key=len)
