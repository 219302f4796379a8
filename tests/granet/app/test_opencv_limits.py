"""Limits of OpenCV in the environment."""

import os
import subprocess
import sys

import pytest

from granet.app.opencv_limits import size_of

READ = """
from granet.data.image_bounds import MAX_PIXELS
import cv2
print(MAX_PIXELS)
"""


@pytest.mark.parametrize("value", ["abc", "", "-5", "1e6", " 5", "9" * 20, "\u0665"])
@pytest.mark.parametrize("name", ["OPENCV_IO_MAX_IMAGE_PIXELS", "OPENCV_IO_MAX_IMAGE_WIDTH"])
def test_a_limit_that_is_no_number_is_one_line(name: str, value: str) -> None:
    code = "from granet.app.start import start; start('runtime.cli')"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    line = f"error: the variable {name} must be a whole number, such as 300000000: set it so, or unset it\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


@pytest.mark.parametrize(("value", "pixels"), [("300000000", 300_000_000), ("64MB", 2**26), ("512Kb", 2**19)])
def test_the_limit_of_pixels_is_what_opencv_reads(value: str, pixels: int) -> None:
    environment = {**os.environ, "OPENCV_IO_MAX_IMAGE_PIXELS": value}
    done = subprocess.run(
        [sys.executable, "-c", READ], env=environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == pixels == size_of(value)
