"""Write an object only if it does not exist, and find out whether a store can."""

import time
import uuid
from collections.abc import Callable
from typing import Any

from granet.errors import UserError
from runtime.archive.storage.errors import code_of, telling

_CONFLICTS = {"ConditionalRequestConflict", "OperationAborted", "409"}
"""Codes for two writers at the same moment: the store asks to try again."""

_TRIES = 8


def created(write: Callable[[], object]) -> bool:
    """Calls ``write``, which writes with a condition; ``False`` if the object exists.

    Raises:
        OSError: if it fails otherwise.
    """
    for count in range(_TRIES):
        try:
            write()
        except FileExistsError:
            return False
        except OSError as error:
            if code_of(error) not in _CONFLICTS or count == _TRIES - 1:
                raise
            time.sleep(0.1 * 2**count)
        else:
            return True
    raise AssertionError("the last try returns or raises")


def check_conditional(filesystem: Any, folder: str, address: str) -> None:
    """Writes small objects twice: the store must refuse the second, as a whole and in parts.

    Raises:
        UserError: if it does not, or cannot be written.
    """
    path = f"{folder}/probe-{uuid.uuid4().hex}"
    with telling(address):
        try:
            filesystem.pipe_file(path, b"x", mode="create")
            refused = not created(lambda: filesystem.pipe_file(path, b"y", mode="create"))
            if refused and hasattr(filesystem, "call_s3"):
                refused = not created(lambda: _in_parts(filesystem, path))
        finally:
            if filesystem.exists(path):
                filesystem.rm_file(path)
    if not refused:
        raise UserError(
            f"{address}: this storage ignores conditional writes (If-None-Match), so two workers could "
            "overwrite each other; choose another destination, or mount it and give the path"
        )


def _in_parts(filesystem: Any, path: str) -> None:
    """A multipart upload of one byte, as large results are uploaded."""
    bucket, _, key = path.partition("/")
    place = {"Bucket": bucket, "Key": key}
    upload = filesystem.call_s3("create_multipart_upload", **place)["UploadId"]
    try:
        part = filesystem.call_s3("upload_part", **place, UploadId=upload, PartNumber=1, Body=b"z")
        filesystem.call_s3(
            "complete_multipart_upload",
            **place,
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
            IfNoneMatch="*",
        )
    except OSError:
        filesystem.call_s3("abort_multipart_upload", **place, UploadId=upload)
        raise
