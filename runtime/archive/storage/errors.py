"""Errors of object stores as one line each."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from granet.app.credentials import mask
from granet.errors import UserError
from runtime.archive.storage.base import StorageAwayError
from runtime.archive.storage.schemes import foreign_errors, scheme_of

_AWAY = {
    errno.EIO, errno.EBUSY, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH,
    errno.ETIMEDOUT, getattr(errno, "EREMOTEIO", errno.EIO),
}  # fmt: skip
_AWAY_CLASSES = {
    "HTTPClientError", "ConnectionError", "ClientConnectionError", "ClientPayloadError",
    "ServiceRequestError", "ServiceResponseError",
}  # fmt: skip
"""Names of base classes in the packages of the stores for connections that fail."""

_WITHOUT_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError",
    "TokenRetrievalError", "DefaultCredentialsError", "ClientAuthenticationError",
}  # fmt: skip


@contextmanager
def telling(address: str) -> Iterator[None]:
    """Turns the errors of a store into one line that names ``address``.

    Raises:
        StorageAwayError: if the store does not answer.
        UserError: for any other error.
    """
    errors: tuple[type[Exception], ...] = (OSError, *foreign_errors(scheme_of(address)))
    try:
        yield
    except errors as error:
        raise explained(error, address) from error


def explained(error: Exception, address: str) -> UserError:
    """The error that a user sees; without any credentials."""
    names = {kind.__name__ for kind in type(error).__mro__}
    reason = mask(" ".join(str(getattr(error, "strerror", None) or error).split()))
    if names & _WITHOUT_CREDENTIALS:
        return UserError(f"{address}: no credentials: {reason}; {scheme_of(address).hint}")
    if "FileExpired" in names:
        return UserError(f"{address}: changed while it was read")
    if _is_away(error, names):
        return StorageAwayError(f"{address}: the storage does not answer: {reason}")
    if isinstance(error, PermissionError):
        return UserError(f"{address}: permission denied: {reason}; check the credentials and their policy")
    if is_without_bucket(error):
        return UserError(f"{address}: there is no such bucket; create it first, or correct the address")
    if isinstance(error, FileNotFoundError):
        return UserError(f"{address}: no such object")
    return UserError(f"{address}: cannot be used: {reason}")


def is_without_bucket(error: BaseException) -> bool:
    """Whether the bucket is missing, and not only the object."""
    return code_of(error) == "NoSuchBucket"


def code_of(error: BaseException) -> str:
    """The store's own code of an error; empty if there is none."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def _is_away(error: Exception, names: set[str]) -> bool:
    if isinstance(error, FileNotFoundError | PermissionError | FileExistsError):
        return False
    status = _response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", getattr(error, "code", None))
    if isinstance(status, int):
        return status >= 500 or status in (408, 429)
    return bool(names & _AWAY_CLASSES) or (isinstance(error, OSError) and error.errno in _AWAY)


def _response(error: BaseException) -> dict[str, dict[str, object]]:
    for each in (error, error.__cause__):
        if isinstance(found := getattr(each, "response", None), dict):
            return found
    return {}
