"""Sizes as people type them, the same for every option."""

import pytest

from export.cli import app as export_app
from granet.app.console import UsageError, run_app
from granet.app.options import parse_size
from runtime.sources.camera.source import parse_camera_options
from runtime.sources.video.raw import parse_raw

WRONG = (
    "480",
    "480x",
    "x320",
    "480*320",
    "480x320x3",
    "-1x320",
    "0x320",
    "480x0",
    "480 x 320",
    "",
)


@pytest.mark.parametrize("text", ["480x320", "480X320"])
def test_width_comes_first_and_height_is_first_in_the_result(text: str) -> None:
    assert parse_size(text) == (320, 480)
    assert parse_camera_options(None, text, None).size == (320, 480)
    assert (parse_raw(f"{text}:gray@25").height, parse_raw(f"{text}:gray@25").width) == (320, 480)


@pytest.mark.parametrize("text", WRONG)
def test_anything_else_is_one_line_with_the_option(text: str) -> None:
    message = "not a size: write WIDTHxHEIGHT in pixels, as in 480x320"
    with pytest.raises(UsageError) as caught:
        parse_size(text)
    assert str(caught.value) == f"--size {text}: {message}"
    with pytest.raises(UsageError) as caught:
        parse_camera_options(None, text, None)
    assert str(caught.value) == f"--camera-size {text}: {message}"


def test_a_command_ends_with_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(export_app, ["onnx", "--ckpt", "best.pt", "--size", "64by48"]) == 2
    assert capsys.readouterr().err == (
        "error: --size 64by48: not a size: write WIDTHxHEIGHT in pixels, as in 480x320\n"
    )
