"""Wrong checksums in PNG files, and what the libraries of pictures print."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from granet.data.image_files import read_rgb
from granet.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
PNG = cv2.imencode(".png", PIXELS)[1].tobytes()
HEADER = 8 + 25
"""Bytes of the signature and the first chunk."""


def test_a_damaged_chunk_beside_the_picture_is_left_out_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gamma = b"\0\0\0\4gAMA\0\0\xb1\x8f\0\0\0\0"
    (path := tmp_path / "a.png").write_bytes(PNG[:HEADER] + gamma + PNG[HEADER:])
    assert np.array_equal(read_rgb(path), PIXELS[..., ::-1])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_damaged_picture_is_one_line_of_ours(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = bytearray(PNG if name == "a.png" else cv2.imencode(".tif", PIXELS)[1].tobytes())
    place = len(whole) // 2 if name == "a.png" else -40
    whole[place] ^= 0xC8
    (path := tmp_path / name).write_bytes(whole)
    with pytest.raises(UserError, match="is damaged, or not a picture that can be decoded"):
        read_rgb(path)
    assert capfd.readouterr().err == ""
