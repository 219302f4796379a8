"""streams.toml: its settings, and one line with the position for each mistake."""

from fractions import Fraction
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.live.streams_config import StreamConfig, StreamsConfig, read_streams_config
from runtime.sinks.video.encoding import CODECS
from runtime.sinks.video.pixel_formats import PIXEL_FORMATS
from runtime.sources.part.part import Part
from runtime.sources.part.suitable import LIVE, UNTIMED

STREAM = "[[stream]]\nname = 'a'\ninput = 'x'\noutput = 'y.mkv'\n"
SETTINGS = (
    "name, input, camera, output, serve, show, skip_dry, live, give_up_after, strict, codec, crf, preset, "
    "bitrate, pix_fmt, hwaccel, start, duration, every, loop"
)
NOT_LIVE = "stream 1: live is for addresses: a camera is always live, and a file never is"

NOT_STRICT = (
    "stream 1: strict is for videos and folders: damage of a live source is skipped, and one damaged "
    "picture is an error"
)


def given(source: str, setting: str) -> str:
    return STREAM.replace("'x'", f"'{source}'") + f"{setting} = true"


def read(tmp_path: Path, text: str | bytes) -> StreamsConfig:
    path = tmp_path / "streams.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_streams_config(path)


MISTAKES: list[tuple[str | bytes, str]] = [
    (
        "[[stream]",
        "is not valid TOML: Expected ']]' at the end of an array declaration (at line 1, column 9)",
    ),
    (b"\xff", "is not valid TOML: not UTF-8 (line 1): save it in that encoding"),
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
    (STREAM + "codec = 'mpeg9'", f"stream 1: codec mpeg9: use one of {', '.join(CODECS)}"),
    (
        STREAM + "crf = 20\nbitrate = '4M'",
        "stream 1: crf with bitrate: each sets the quality; give one of them",
    ),
    (STREAM + "crf = -1", "stream 1: crf -1: give 0 or more"),
    (STREAM + "pix_fmt = 'rgb'", f"stream 1: pix_fmt rgb: use one of {', '.join(PIXEL_FORMATS)}"),
    (
        "[[stream]]\nname = 'a'\ninput = 'x'\nserve = 1\ncodec = 'h264'",
        "stream 1: codec, crf, preset, bitrate and pix_fmt are for videos, and no output is one",
    ),
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
        NOT_LIVE,
    ),
    (
        "[[stream]]\nname = 'a'\ncamera = 0\nserve = 1\nlive = true",
        NOT_LIVE,
    ),
    (
        "[[stream]]\nname = 'a'\ncamera = 0\noutput = 'y.mkv'\nstrict = true",
        NOT_STRICT,
    ),
    *((given(source, "strict"), NOT_STRICT) for source in ("rtsp://h/x", "csi://0", "x.png")),
    (given("x.png", "skip_dry"), "stream 1: skip_dry needs a video: rain is detected over several seconds"),
    (STREAM + "give_up_after = 3", "stream 1: give_up_after is for live sources, and input is a file"),
    (
        "overwrite = true\n" + STREAM.replace("y.mkv", "rtsp://host/path"),
        "overwrite is for files, and no stream writes one",
    ),
    (STREAM + "start = 'soon'", "stream 1: start soon: give a duration like 90s, 2m or 1:30"),
    (STREAM + "duration = nan", "stream 1: duration nan: give a duration like 90s, 2m or 1:30"),
    (STREAM + "duration = 0", "stream 1: duration 0: give more than 0"),
    (
        STREAM + "start = true",
        "stream 1: start: expected a time like 90s or 1:30, or a number of seconds, got a boolean",
    ),
    (STREAM + "every = 0", "stream 1: every: expected an integer of at least 1"),
    (STREAM + "loop = true", "stream 1: loop: the file would never end: add duration"),
    (given("rtsp://h/x", "loop"), f"stream 1: loop with input: {LIVE}"),
    ("[[stream]]\nname = 'a'\ncamera = 0\nserve = 1\nevery = 2", f"stream 1: every with camera: {LIVE}"),
    (given("x.png", "loop"), f"stream 1: loop with input: {UNTIMED}"),
    (
        given("-", "loop"),
        "stream 1: loop with input: stdin is read once, from its beginning; write it to a file first",
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
        input = "http://camera"
        output = ["a.mkv", "b/"]
        serve = ":8080"
        show = "mask"
        skip_dry = true
        live = true
        give_up_after = 2.5
        [[stream]]
        name = "back"
        input = "back.mp4"
        serve = 8082
        start = 90
        duration = "1:30"
        every = 2
        loop = true
        """
    front = StreamConfig(
        "front",
        input="http://camera",
        output=("a.mkv", "b/"),
        serve=":8080",
        show="mask",
        skip_dry=True,
        live=True,
        give_up_after=2.5,
    )
    back = StreamConfig(
        "back", input="back.mp4", serve="8082", start="90", duration="1:30", every=2, loop=True
    )
    assert back.part == Part(Fraction(90), Fraction(90), 2, loop=True, paced=True, start_text="90", dashes="")
    expected = StreamsConfig(
        (front, back), model="lite.onnx", device="cpu", backend="openvino", metrics=":9100", overwrite=True
    )
    assert read(tmp_path, text) == expected


def test_numbers_stand_for_names_cameras_and_ports(tmp_path: Path) -> None:
    config = read(
        tmp_path, "metrics = 9100\n[[stream]]\nname = 1\ncamera = 0\nserve = 8080\ngive_up_after = 30"
    )
    (stream,) = config.stream
    assert (config.metrics, stream.name, stream.camera, stream.serve) == ("9100", "1", "0", "8080")
    assert stream.give_up_after == 30.0


def two(first: str, second: str) -> str:
    return f"[[stream]]\nname = 'a'\ninput = 'x'\n{first}\n[[stream]]\nname = 'b'\ninput = 'y'\n{second}\n"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("out.mkv", "out.mkv"),
        ("out.mkv", "./there/../out.mkv"),
        ("link/out.mkv", "there/out.mkv"),
        ("pictures/", "pictures"),
        ("%Y%m%d.mkv", "%Y%m%d.mkv"),
        ("there/%Y-%m-%d.mkv", "link/%F.mkv"),
        ("rtsp://host/live", "RTSP://me:pw@HOST:554/live"),
        ("rtmp://host/live/${KEY}", "rtmp://host:1935/live/${KEY}"),
        ("virtual-camera", "virtual-camera"),
    ],
)
def test_two_streams_never_share_an_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    with pytest.raises(UserError, match="two outputs name the same destination"):
        read(tmp_path, two(f"output = '{first}'", f"output = ['z.mkv', '{second}']"))
    with pytest.raises(UserError, match="two outputs name the same destination"):
        read(tmp_path, STREAM.replace("'y.mkv'", f"['{first}', '{second}']"))


@pytest.mark.parametrize(
    ("first", "second"),
    [("null", "null"), ("%Y%m%d-a.mkv", "%Y%m%d-b.mkv"), ("rtsp://h:${P}/a", "rtsp://h:${P}/b")],
)
def test_different_outputs_are_accepted(tmp_path: Path, first: str, second: str) -> None:
    assert len(read(tmp_path, two(f"output = '{first}'", f"output = '{second}'")).stream) == 2


@pytest.mark.parametrize("second", ["serve = 8080", "serve = '127.0.0.1:8080'", "serve = 1\n[x]"])
def test_two_pages_never_share_a_port(tmp_path: Path, second: str) -> None:
    text = two("serve = ':8080'", second.split("\n[x]")[0])
    if "[x]" in second:
        text = "metrics = 8080\n" + text
    with pytest.raises(UserError, match="use port 8080"):
        read(tmp_path, text)


@pytest.mark.parametrize("value", ["nan", "+nan", "inf", "-inf", "-1", "1e400"])
def test_a_time_is_a_finite_number(tmp_path: Path, value: str) -> None:
    with pytest.raises(UserError, match="stream 1: give_up_after: expected a finite number of at least 0"):
        read(tmp_path, f"{STREAM}give_up_after = {value}\n")


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 300 + "]" * 300,
        "x = " + "{a=" * 300 + "1" + "}" * 300,
        ".".join(["a"] * 5000) + " = 1",
        "[" + ".".join(["a"] * 5000) + "]",
        "[[stream]]\nname." + ".".join(["a"] * 5000) + " = 1",
        "[[stream]]\noutput = " + "[" * 300 + "]" * 300,
    ],
)
def test_a_deeply_nested_file_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        UserError,
        match=r"streams\.toml: is not valid TOML: (nested too deeply|a line with more than 256 dots)",
    ):
        read(tmp_path, text)
