"""Libraries that want a home directory get one, also for a user that the system does not know."""

import getpass
import os
from pathlib import Path


def ensure_home() -> None:
    """Sets ``HOME`` and ``LOGNAME`` if neither the environment nor the user database has them.

    A container often runs as a bare user number without ``HOME``. Then ``Path.home`` and ``getpass.getuser``
    raise, and with them the import of OpenVINO, which looks there for a telemetry setting, and the compiler
    of PyTorch. The home is a place where nothing can be written: a shared one, such as ``/tmp``, would let
    other users put files there.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = os.devnull
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        # The exception depends on the system and on the version of Python.
        os.environ["LOGNAME"] = f"uid{os.getuid()}" if hasattr(os, "getuid") else "user"
