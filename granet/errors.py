"""Errors that a person can act on.

Every command of this project turns a :class:`UserError` into one line on stderr and its
``exit_status``; any other exception is a fault of ours and shows its traceback with ``--debug``.
"""


class UserError(Exception):
    """Something the user can mend; the message is one line that says what to do. Exit status 1."""

    exit_status = 1


class ParityError(UserError):
    """An artefact differs from the PyTorch network by more than its budget. Exit status 3."""

    exit_status = 3
