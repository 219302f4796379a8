"""Options that a run would not use are refused: a table of rules, the same for every command.

A rule says when an option has no effect. A command keeps a tuple of them beside its options and calls
:func:`check_used` before it opens anything.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import typer
from typer.core import TyperCommand

from granet.app.console import UsageError

Options = TypeVar("Options")


@dataclass(frozen=True)
class Rule(Generic[Options]):
    """When a run does not use some options.

    Attributes:
        options: as they are typed (``--raw``).
        conflict: names the other side, as ``with --config`` or ``without --data``; ``None`` if the run
            uses them.
        advice: why they are not used, or what to give instead.
        all_but: ``options`` are the only ones that the run does use.
    """

    options: Collection[str]
    conflict: Callable[[Options], str | None]
    advice: str
    all_but: bool = False


def check_used(rules: Iterable[Rule[Options]], options: Options, given: Collection[str]) -> None:
    """Refuses options that the run would ignore.

    Args:
        rules: of the command, the most important first.
        options: of this run.
        given: the options that the user gave, from :func:`given_options`.

    Raises:
        UsageError: for the first option in conflict; the line names both sides.
    """
    for rule in rules:
        unused = [option for option in given if (option in rule.options) != rule.all_but]
        conflict = rule.conflict(options) if unused else None
        if conflict is not None:
            raise UsageError(f"{unused[0]} {conflict}: {rule.advice}")


class StrictCommand(TyperCommand):
    """A command that refuses an option that is given twice; by default the last one would replace the others.

    Use it as ``@app.command(cls=StrictCommand)``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See :class:`typer.core.TyperCommand`.

        Raises:
            UsageError: if an option that takes one value is given twice.
        """
        _, _, order = self.make_parser(ctx).parse_args(args=[*args])
        for parameter, count in Counter(order).items():
            if count > 1 and not parameter.multiple and not getattr(parameter, "is_flag", False):
                raise UsageError(f"{_typed(parameter.opts)} is given {count} times: give it once")
        return super().parse_args(ctx, args)


def given_options(context: typer.Context) -> list[str]:
    """The options that this command line gives, in the order of ``--help``; a default is not given."""
    given = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name != "DEFAULT":
            given.append(_typed(parameter.opts))
    return given


def _typed(names: list[str]) -> str:
    """The long form of an option."""
    return max(names, key=len)
