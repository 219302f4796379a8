"""The object stores that are known: each can write an object only if it does not exist."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from granet.app.credentials import conceal
from granet.app.extras import require


@dataclass(frozen=True)
class Scheme:
    """A kind of store.

    Attributes:
        package: the implementation for fsspec.
        errors: its own errors that are not OSErrors, as ``module:name``.
        secrets: environment variables that hold credentials.
        hint: what a user without credentials should do.
    """

    package: str
    errors: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    hint: str = ""


_S3 = Scheme(
    "s3fs",
    ("botocore.exceptions:BotoCoreError", "aiohttp:ClientError"),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
)
_GOOGLE = Scheme(
    "gcsfs",
    ("gcsfs.retry:HttpError", "google.auth.exceptions:GoogleAuthError", "aiohttp:ClientError"),
    hint="set GOOGLE_APPLICATION_CREDENTIALS",
)
_AZURE = Scheme(
    "adlfs",
    ("azure.core.exceptions:AzureError",),
    (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_CONNECTION_STRING",
        "AZURE_STORAGE_CLIENT_SECRET",
    ),
    "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
)

SCHEMES = {"s3": _S3, "s3a": _S3, "gs": _GOOGLE, "gcs": _GOOGLE, "az": _AZURE, "abfs": _AZURE}
"""Scheme of an address -> its kind of store."""

ALIASES = {"s3a": "s3", "gcs": "gs", "abfs": "az"}
"""Other name of a scheme -> the name that addresses get."""


def scheme_of(address: str) -> Scheme:
    """The kind of store of an address."""
    return SCHEMES[address.partition(":")[0]]


@lru_cache
def filesystem(name: str) -> Any:
    """The file system of fsspec for a scheme, once in each process. Its credentials are masked from now on.

    Listings are never cached, because other machines write too.

    Raises:
        UserError: if a package is missing.
    """
    scheme = SCHEMES[name]
    require(f"{name}:// storage", "fsspec", scheme.package)
    for variable in scheme.secrets:
        conceal(os.environ.get(variable, ""))
    if scheme is _S3:
        _conceal_profile()
    fsspec = import_module("fsspec")
    return fsspec.filesystem(name, use_listings_cache=False, skip_instance_cache=True)


def foreign_errors(scheme: Scheme) -> tuple[type[Exception], ...]:
    """The errors of a kind of store that are not OSErrors; its package is installed."""
    named = (text.split(":") for text in scheme.errors)
    return tuple(getattr(import_module(module), name) for module, name in named)


def _conceal_profile() -> None:
    """Masks the credentials of a profile, a container or an instance."""
    session: Callable[[], Any] = import_module("botocore.session").get_session
    try:
        found = session().get_credentials()
        frozen = None if found is None else found.get_frozen_credentials()
    except foreign_errors(_S3):  # the first request will say so
        return
    for value in (frozen.access_key, frozen.secret_key, frozen.token) if frozen is not None else ():
        conceal(value or "")
