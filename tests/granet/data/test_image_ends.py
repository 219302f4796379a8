"""Pictures whose end is odd: whole ones are read, truncated ones refused, in one word."""

import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from granet.data.image_files import decode
from granet.errors import UserError

Change = Callable[[bytes], bytes]


def encoded(suffix: str, pixels: np.ndarray, *settings: int) -> bytes:
    return cv2.imencode(suffix, pixels, list(settings))[1].tobytes()


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (16, 16, 3), np.uint8)
    return [
        rng.integers(0, 256, (64, 72, 3), np.uint8),
        cv2.resize(small, (250, 190)).astype(np.uint8),
        np.full((40, 56, 3), 128, np.uint8),
    ]


def stated(size: int) -> Change:
    """A WebP that states another size."""
    return lambda data: data[:4] + size.to_bytes(4, "little") + data[8:]


def with_misleading_text(data: bytes) -> bytes:
    """A PNG with the name of its last chunk in a text, and without that chunk."""
    text = b"tEXtComment\0IEND"
    chunk = (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
    return data[:33] + chunk + data[33:-12]


def with_frames_that_are_not_there(data: bytes) -> bytes:
    """A PNG that states an animation of five frames and has none of them."""
    control = b"acTL" + (5).to_bytes(4, "big") + bytes(4)
    return data[:33] + bytes([0, 0, 0, 8]) + control + zlib.crc32(control).to_bytes(4, "big") + data[33:]


def text_of_ppm(data: bytes) -> bytes:
    """The same picture with its numbers in text."""
    height, width, _ = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape
    return b"P3 %d %d 255\n" % (width, height) + b"\n".join(b"%d" % v for v in data[-3 * width * height :])


WHOLE: dict[str, tuple[str, Change]] = {
    "JPEG without its end marker": (".jpg", lambda data: data[:-2]),
    "JPEG with half of its end marker": (".jpg", lambda data: data[:-1]),
    "JPEG and a tag": (".jpg", lambda data: data + b"TAG".ljust(128, b" ")),
    "JPEG and 0xFF": (".jpg", lambda data: data + b"\xff" * 4096),
    "PNG without its last chunk": (".png", lambda data: data[:-12]),
    "PNG without the sum of its last chunk": (".png", lambda data: data[:-4]),
    "PNG that ends in the size of its last chunk": (".png", lambda data: data[:-10]),
    "PNG with a misleading text": (".png", with_misleading_text),
    "PNG and a tag": (".png", lambda data: data + b"TAG".ljust(128, b" ")),
    "PNG and another chunk": (".png", lambda data: data + b"\0\0\0\4tESTabcd\0\0\0\0"),
    "WebP and a tag": (".webp", lambda data: data + b"TAG".ljust(128, b" ")),
    "WebP from a pipe": (".webp", stated(2**32 - 1)),
    "WebP of size 0": (".webp", stated(0)),
    "WebP of a size too large": (".webp", lambda data: stated(len(data) + 500)(data)),
    "WebP of a size too small": (".webp", lambda data: stated(len(data) - 30)(data)),
    "BMP of a size too large": (".bmp", lambda data: data[:2] + b"\xff" * 4 + data[6:]),
    "BMP of size 0": (".bmp", lambda data: data[:2] + bytes(4) + data[6:]),
    "TIFF and a tag": (".tiff", lambda data: data + b"TAG".ljust(128, b" ")),
    "PNG of frames that are not there": (".png", with_frames_that_are_not_there),
    "PPM of text without a last line end": (".ppm", lambda data: text_of_ppm(data).rstrip()),
    "AVIF and 0xFF": (".avif", lambda data: data + b"\xff" * 4096),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_picture_is_read_whatever_its_end(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    suffix, change = WHOLE[kind]
    settings = (cv2.IMWRITE_WEBP_QUALITY, 101) if suffix == ".webp" else ()
    for pixels in pictures():
        data = encoded(suffix, pixels, *settings)
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        got = decode(change(data), Path(f"a{suffix}"), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(got, expected)
    assert "Corrupt" not in capfd.readouterr().err


JPEGS = [
    (cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, restart)
    for progressive in (0, 1)
    for restart in (0, 4)
]


@pytest.mark.parametrize("settings", JPEGS)
@pytest.mark.parametrize("lost", [3, 10, 40, 200])
def test_a_jpeg_of_which_codes_are_missing_is_truncated(
    settings: tuple[int, ...], lost: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """The decoder would fill the rest with gray."""
    for pixels in pictures()[:2]:
        data = encoded(".jpg", pixels, *settings)
        whole = decode(data[:-2], Path("a.jpg"), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(whole, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
        with pytest.raises(UserError, match=r"a\.jpg: is truncated: a part of the picture is missing"):
            decode(data[: -2 - lost], Path("a.jpg"), cv2.IMREAD_COLOR)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_png_of_which_pixels_are_missing_is_truncated(
    share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    for pixels in pictures()[:2]:
        data = encoded(".png", pixels)
        with pytest.raises(UserError, match=r"a\.png: is truncated"):
            decode(data[: int(len(data) * share)], Path("a.png"), cv2.IMREAD_COLOR)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_truncated_webp_is_refused(share: float) -> None:
    for pixels in pictures()[:2]:
        data = encoded(".webp", pixels)
        with pytest.raises(UserError, match=r"a\.webp: is "):
            decode(data[: int(len(data) * share)], Path("a.webp"), cv2.IMREAD_COLOR)
