"""Variables of OpenCV in the environment."""

import os
import subprocess
import sys

import pytest

from granet.data.opencv_limits import size_of

READ = """
from granet.data.image_bounds import MAX_PIXELS
import cv2
print(MAX_PIXELS)
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("OPENCV_IO_MAX_IMAGE_PIXELS", value)
            for value in ("abc", "", "-5", "1e6", " 5", "9" * 20, "\u0665")
        ),
        ("OPENCV_IO_MAX_IMAGE_WIDTH", "abc"),
        ("OPENCV_TRACE", "maybe"),
        ("OPENCV_VIDEOIO_DEBUG", "abc"),
    ],
)
def test_a_value_with_which_opencv_would_abort_is_one_line(name: str, value: str) -> None:
    code = "from granet.app.start import start; start('runtime.cli')"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        env={**os.environ, "OPENCV_IO_MAX_IMAGE_HEIGHT": "1000000", name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    line = f"error: OpenCV does not take the value of the variable {name}: correct it, or unset it\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


@pytest.mark.parametrize(("value", "pixels"), [("300000000", 300_000_000), ("64MB", 2**26), ("512Kb", 2**19)])
def test_the_limit_of_pixels_is_what_opencv_reads(value: str, pixels: int) -> None:
    environment = {**os.environ, "OPENCV_IO_MAX_IMAGE_PIXELS": value}
    done = subprocess.run(
        [sys.executable, "-c", READ], env=environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == pixels == size_of(value)
