"""Plain words for the usage errors of typer and click.

Their wording depends on the version: newer versions of typer check values with pydantic, older ones with
click.
"""

import re

_WORDS: tuple[tuple[str, str], ...] = (
    (r"Invalid value for '(?:-\w / )?(--[\w-]+)': ", r"\1: "),
    (r"(?:Value error, )?'([^']*)' is not one of (.+)", r"\1 is not a choice; choose one of \2"),
    (r"Input should be greater than or equal to ([\d.]+)", r"give \1 or more"),
    (r"Input should be less than or equal to ([\d.]+)", r"give \1 or less"),
    (r"Input should be greater than ([\d.]+)", r"give more than \1"),
    (r"Input should be less than ([\d.]+)", r"give less than \1"),
    (r"\S+ is not in the range x>=([\d.]+)", r"give \1 or more"),
    (r"\S+ is not in the range ([\d.]+)<=x<=([\d.]+)", r"give a value from \1 to \2"),
    (r"Input should be a valid integer.*|'.*' is not a valid integer", "give a whole number"),
    (r"Input should be a valid number.*|'.*' is not a valid float", "give a number"),
)


def plain(message: str) -> str:
    """``message`` in the words of this project; a message that is not known stays as it is."""
    for pattern, words in _WORDS:
        message = re.sub(pattern, words, message)
    head, choose, choices = message.partition("; choose one of ")
    return head + choose + choices.replace("'", "")
