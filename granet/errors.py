"""Errors that the user can act on.

Every command of this project turns a :class:`UserError` into one line on stderr and its ``exit_status``. Any
other exception is an internal error, whose traceback ``--debug`` shows.
"""


class UserError(Exception):
    """An error that the user can fix; the message is one line that says what to do. Exit status 1."""

    exit_status = 1


class ParityError(UserError):
    """An artefact differs from the PyTorch network by more than its budget. Exit status 3."""

    exit_status = 3
