"""List cameras and their modes through V4L2, the Linux kernel's camera interface.

Structures and constants are those of ``linux/videodev2.h``, a stable interface.
"""

import errno
import os
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from granet.app.outside_text import decoded
from granet.errors import UserError

if sys.platform.startswith("linux"):
    from fcntl import ioctl as _kernel_ioctl

Ioctl = Callable[[int, int, bytearray], object]
"""``ioctl(descriptor, request, argument)``; modifies the argument, raises :class:`OSError`."""

_CAPTURE = 1
_DEVICE_CAPS = 0x80000000
_DISCRETE = 1
_MOST = 256
"""Maximum number of entries in one enumeration: some drivers never end it."""


def _request(number: int, size: int, *, write: bool) -> int:
    """``_IOR('V', number, size)`` or ``_IOWR``."""
    return (3 if write else 2) << 30 | size << 16 | ord("V") << 8 | number


QUERYCAP = _request(0, 104, write=False)
ENUM_FMT = _request(2, 64, write=True)
ENUM_FRAMESIZES = _request(74, 44, write=True)
ENUM_FRAMEINTERVALS = _request(75, 52, write=True)


@dataclass(frozen=True)
class CameraMode:
    """A mode that a camera supports.

    Attributes:
        pixel_format: four-letter V4L2 code.
        size: (height, width) in pixels; ``None`` if the camera supports a range of sizes.
        rates: frames per second, highest first; empty if unknown.
    """

    pixel_format: str
    size: tuple[int, int] | None
    rates: tuple[Fraction, ...]

    def __str__(self) -> str:
        """``MJPG 1280x720 at 30, 15``."""
        size = f" {self.size[1]}x{self.size[0]}" if self.size is not None else ", any size"
        rates = ", ".join(f"{float(rate):.5g}" for rate in self.rates)
        return f"{self.pixel_format}{size}{f' at {rates}' if rates else ''}"


@dataclass(frozen=True)
class Camera:
    """A camera of this machine.

    Attributes:
        device: ``/dev/video0``.
        name: name reported by its driver.
        modes: supported modes.
        problem: why it could not be queried; empty on success.
    """

    device: Path
    name: str
    modes: tuple[CameraMode, ...] = ()
    problem: str = ""


def list_cameras(directory: Path = Path("/dev"), ioctl: Ioctl | None = None) -> list[Camera]:
    """The cameras of this machine, in order of their numbers.

    Devices that do not capture pictures (metadata, codecs) are omitted.

    Args:
        directory: directory of the device files.
        ioctl: replaces the kernel's ioctl; ``None`` uses the real one.

    Raises:
        UserError: on systems other than Linux.
    """
    if ioctl is None:
        if not sys.platform.startswith("linux"):
            raise UserError("cameras can be listed on Linux only; elsewhere try --camera 0, 1, ...")
        ioctl = _kernel_ioctl
    devices = [path for path in directory.glob("video*") if path.name[5:].isdecimal()]
    cameras = (_query(path, ioctl) for path in sorted(devices, key=lambda path: int(path.name[5:])))
    return [camera for camera in cameras if camera is not None]


@dataclass(frozen=True)
class Problem:
    """Why a device cannot be used as a camera.

    Attributes:
        text: error message.
        for_ever: whether retrying would not help.
    """

    text: str
    for_ever: bool = False


def problem_of(device: Path, ioctl: Ioctl | None = None) -> Problem | None:
    """Why ``device`` cannot be used as a camera; ``None`` if no problem is found.

    Args:
        device: a Linux device file.
        ioctl: replaces the kernel's ioctl; ``None`` uses the real one.
    """
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except FileNotFoundError:
        return Problem("is not connected")
    except PermissionError:
        return Problem("permission denied; add this user to the group video")
    except OSError as error:
        return Problem(f"cannot be opened: {error.strerror}")
    try:
        captures = _captures(descriptor, ioctl or _kernel_ioctl, bytearray(104))
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return Problem("is not a camera; --list-cameras lists the cameras", for_ever=True)
        return Problem(f"does not respond: {error.strerror}")
    finally:
        os.close(descriptor)
    if captures:
        return None
    return Problem("does not capture pictures; --list-cameras lists the cameras", for_ever=True)


def _captures(descriptor: int, ioctl: Ioctl, answer: bytearray) -> bool:
    """Queries the capabilities of a device into ``answer``; whether it captures pictures."""
    ioctl(descriptor, QUERYCAP, answer)
    everything, this = struct.unpack("=II", answer[84:92])
    return bool((this if everything & _DEVICE_CAPS else everything) & _CAPTURE)


def _query(device: Path, ioctl: Ioctl) -> Camera | None:
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        return Camera(device, "", problem=f"cannot be opened: {error.strerror}")
    try:
        answer = bytearray(104)
        if not _captures(descriptor, ioctl, answer):
            return None
        return Camera(device, _text(answer[16:48]), tuple(_modes(descriptor, ioctl)))
    except OSError as error:
        return Camera(device, "", problem=f"does not respond: {error.strerror}")
    finally:
        os.close(descriptor)


def _modes(descriptor: int, ioctl: Ioctl) -> Iterator[CameraMode]:
    for format_answer in _enumerate(descriptor, ioctl, ENUM_FMT, struct.pack("=II", 0, _CAPTURE), 64):
        code = bytes(format_answer[44:48])
        letters = code.decode("ascii", "replace")
        sizes = 0
        for answer in _enumerate(descriptor, ioctl, ENUM_FRAMESIZES, bytes(4) + code, 44):
            sizes += 1
            if struct.unpack("=I", answer[8:12])[0] != _DISCRETE:
                yield CameraMode(letters, None, ())
                break
            width, height = struct.unpack("=II", answer[12:20])
            yield CameraMode(
                letters, (height, width), tuple(_rates(descriptor, ioctl, code, bytes(answer[12:20])))
            )
        if not sizes:
            yield CameraMode(letters, None, ())


def _rates(descriptor: int, ioctl: Ioctl, code: bytes, size: bytes) -> Iterator[Fraction]:
    for answer in _enumerate(descriptor, ioctl, ENUM_FRAMEINTERVALS, bytes(4) + code + size, 52):
        kind, numerator, denominator = struct.unpack("=III", answer[16:28])
        if kind != _DISCRETE:
            return
        if numerator:
            yield Fraction(denominator, numerator)


def _enumerate(descriptor: int, ioctl: Ioctl, request: int, head: bytes, size: int) -> Iterator[bytearray]:
    """The entries of an enumeration indexed by its first four bytes, until the driver reports the end."""
    for index in range(_MOST):
        argument = bytearray(size)
        argument[: len(head)] = head
        argument[:4] = struct.pack("=I", index)
        try:
            ioctl(descriptor, request, argument)
        except OSError:
            return
        yield argument


def _text(data: bytearray) -> str:
    return decoded(bytes(data).split(b"\0")[0])
