"""streams.toml: its settings, and one line with the position for each mistake."""

from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.live.streams_config import StreamConfig, StreamsConfig, read_streams_config

STREAM = "[[stream]]\nname = 'a'\ninput = 'x'\noutput = 'y.mkv'\n"
SETTINGS = "name, input, camera, output, serve, show, skip_dry, live, give_up_after"


def read(tmp_path: Path, text: str | bytes) -> StreamsConfig:
    path = tmp_path / "streams.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_streams_config(path)


MISTAKES: list[tuple[str | bytes, str]] = [
    (
        "[[stream]",
        "is not valid TOML: Expected ']]' at the end of an array declaration (at line 1, column 9)",
    ),
    (b"\xff", "is not valid TOML: not UTF-8"),
    ("a = " + 100_000 * "[", "is not valid TOML: nested too deeply"),
    ("model = 'x'", "add a [[stream]]"),
    ("stream = 3", "stream: expected a list, got an integer"),
    ("stream = [3]", "stream 1: expected a table, got an integer"),
    ("model = 3\n" + STREAM, "model: expected a string, got an integer"),
    (
        "nonsense = 1\n" + STREAM,
        "unknown setting nonsense (the settings are stream, model, device, backend, metrics, overwrite)",
    ),
    (STREAM + "speed = 3", f"stream 1: unknown setting speed (the settings are {SETTINGS})"),
    (STREAM + '"a\\nb" = 3', f"stream 1: unknown setting a b (the settings are {SETTINGS})"),
    ("[[stream]]\ninput = 'x'\noutput = 'y.mkv'", "stream 1: name is missing"),
    (STREAM.replace("'a'", "''"), "stream 1: name: expected a non-empty string"),
    (STREAM + STREAM, "two streams have the same name"),
    ("[[stream]]\nname = 'a'\noutput = 'y.mkv'", "stream 1: give one of input and camera"),
    (STREAM + "camera = 0", "stream 1: give one of input and camera"),
    ("[[stream]]\nname = 'a'\ninput = 'x'", "stream 1: give output or serve"),
    (
        STREAM.replace("y.mkv", "window"),
        "stream 1: streams cannot share a window or stdout; give this one a page with serve",
    ),
    (STREAM.replace("'y.mkv'", "[1]"), "stream 1: output 1: expected a string, got an integer"),
    (
        STREAM.replace("'y.mkv'", "1"),
        "stream 1: output: expected a string or a list of strings, got an integer",
    ),
    (STREAM + "serve = true", "stream 1: serve: expected a string or an integer, got a boolean"),
    (STREAM + "serve = 80.5", "stream 1: serve: expected a string or an integer, got a number"),
    (STREAM + "show = 'slider'", "stream 1: show: expected compare, mask or result, got 'slider'"),
    *(
        (
            f"[[stream]]\nname = 'a'\ninput = 'x'\nshow = 'compare'\n{outputs}",
            'stream 1: show = "compare" needs an output that shows it; the page always offers both pictures',
        )
        for outputs in ("serve = 1", "output = 'null'", "serve = 1\noutput = 'null'")
    ),
    (
        "[[stream]]\nname = 'a'\ninput = 'x'\nshow = 'mask'\noutput = 'null'",
        'stream 1: show = "mask" needs serve, or an output that shows it',
    ),
    (
        STREAM + "live = true",
        "stream 1: live is for addresses: a camera is always live, and a file never is",
    ),
    (
        "[[stream]]\nname = 'a'\ncamera = 0\nserve = 1\nlive = true",
        "stream 1: live is for addresses: a camera is always live, and a file never is",
    ),
    (STREAM + "give_up_after = 3", "stream 1: give_up_after is for live sources, and input is a file"),
    (
        "overwrite = true\n" + STREAM.replace("y.mkv", "rtsp://host/path"),
        "overwrite is for files, and no stream writes one",
    ),
    (STREAM + "skip_dry = 'yes'", "stream 1: skip_dry: expected true or false, got a string"),
    (
        STREAM + STREAM.replace("'a'", "'b'") + "live = 1",
        "stream 2: live: expected true or false, got an integer",
    ),
    *(
        (
            f"{STREAM}give_up_after = {number}",
            "stream 1: give_up_after: expected a finite number of at least 0",
        )
        for number in ("nan", "inf", "-inf", "-1", "1e999")
    ),
    (
        STREAM + "give_up_after = '1'",
        "stream 1: give_up_after: expected a finite number of at least 0, got a string",
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_in_the_file_is_one_line_that_says_where(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    assert str(error.value) == f"{tmp_path / 'streams.toml'}: {message}"


@pytest.mark.parametrize(
    ("digits", "message"), [(400, "stream 1: give_up_after: "), (5000, "is not valid TOML: .*digits")]
)
def test_a_number_beyond_all_bounds_is_one_line(tmp_path: Path, digits: int, message: str) -> None:
    with pytest.raises(UserError, match=rf"streams\.toml: {message}") as error:
        read(tmp_path, f"{STREAM}give_up_after = {digits * '9'}")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.toml: cannot be read: No such file"):
        read_streams_config(tmp_path / "none.toml")


def test_omitted_settings_have_the_defaults_of_the_command(tmp_path: Path) -> None:
    config = read(tmp_path, STREAM)
    assert config == StreamsConfig((StreamConfig("a", input="x", output=("y.mkv",)),))
    assert (config.model, config.device, config.backend, config.metrics) == ("", "auto", "auto", "")
    (stream,) = config.stream
    assert (stream.show, stream.skip_dry, stream.live, stream.give_up_after) == ("result", False, False, 0.0)


def test_every_setting_arrives(tmp_path: Path) -> None:
    text = """
        model = "lite.onnx"
        device = "cpu"
        backend = "openvino"
        metrics = ":9100"
        overwrite = true
        [[stream]]
        name = "front"
        input = "rtsp://camera"
        output = ["a.mkv", "b/"]
        serve = ":8080"
        show = "mask"
        skip_dry = true
        live = true
        give_up_after = 2.5
        """
    front = StreamConfig(
        "front",
        input="rtsp://camera",
        output=("a.mkv", "b/"),
        serve=":8080",
        show="mask",
        skip_dry=True,
        live=True,
        give_up_after=2.5,
    )
    expected = StreamsConfig(
        (front,), model="lite.onnx", device="cpu", backend="openvino", metrics=":9100", overwrite=True
    )
    assert read(tmp_path, text) == expected


def test_numbers_stand_for_names_cameras_and_ports(tmp_path: Path) -> None:
    config = read(
        tmp_path, "metrics = 9100\n[[stream]]\nname = 1\ncamera = 0\nserve = 8080\ngive_up_after = 30"
    )
    (stream,) = config.stream
    assert (config.metrics, stream.name, stream.camera, stream.serve) == ("9100", "1", "0", "8080")
    assert stream.give_up_after == 30.0
