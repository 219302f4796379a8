import re
import socket
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from granet.data.upright import upright
from granet.errors import UserError
from runtime.sources.base import DecodedFrame
from runtime.sources.kind import is_one_picture, is_pictures
from runtime.sources.open import open_source
from runtime.sources.url import is_url, parse_url
from runtime.sources.video.clock import Clock
from runtime.sources.video.source import VideoSource
from runtime.sources.video.truncation import missing_bytes
from tests.media import (
    BARS,
    BASE,
    MAKES_BT2020,
    RATE,
    UNEVEN,
    colour_bars,
    make_clip,
    number_of,
    numbered,
    steps,
    with_exif_orientation,
    write_picture,
)


def test_every_frame_comes_with_its_time(tmp_path: Path) -> None:
    with VideoSource(str(make_clip(tmp_path / "a.mp4", pts=UNEVEN)), print) as source:
        frames = list(source.frames("bgr"))
    assert [number_of(frame.pixels) for frame in frames] == list(range(12))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.pts * frame.time_base for frame in frames] == [t * BASE for t in UNEVEN]  # type: ignore[operator]


def test_stream_info_is_known_before_the_frames(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", size=(40, 64), aspect=Fraction(4, 3), tags=(1, 2, 1, 1), sound="aac")
    with VideoSource(str(path), print) as source:
        info = source.info
        assert (info.frames, info.rate, info.size, info.aspect) == (12, RATE, (40, 64), Fraction(4, 3))
        assert (info.colour.matrix, info.colour.range, info.matrix) == (1, 2, 1)
        assert [stream.codec_context.name for stream in info.sound] == ["aac"]
        assert not info.live


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
@pytest.mark.parametrize("tags", [(1, 1), (1, 2), (6, 1), (6, 2), *([(9, 1)] if MAKES_BT2020 else [])])
def test_colours_are_decoded_as_the_tags_say(tmp_path: Path, tags: tuple[int, int], colour: str) -> None:
    path = make_clip(tmp_path / "bars.mp4", frames=[colour_bars()] * 2, order="rgb24", tags=(*tags, 2, 2))
    with VideoSource(str(path), print) as source:
        frame = next(iter(source.frames(colour)))  # type: ignore[arg-type]
    rgb = frame.pixels if colour == "rgb" else frame.pixels[..., ::-1]
    assert np.abs(rgb[32, 16::32].astype(int) - BARS).max() <= 4


@pytest.mark.parametrize(("size", "matrix"), [((576, 704), 6), ((720, 1280), 1)])
def test_an_untagged_video_is_decoded_as_players_do(
    tmp_path: Path, size: tuple[int, int], matrix: int
) -> None:
    path = make_clip(tmp_path / "a.mp4", count=1, size=size)
    with VideoSource(str(path), print) as source:
        assert (source.info.colour.matrix, source.info.matrix) == (2, matrix)


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_frames_are_turned_upright(tmp_path: Path, rotation: int) -> None:
    path = make_clip(tmp_path / "phone.mp4", count=2, size=(48, 64), rotation=rotation, aspect=Fraction(2))
    with VideoSource(str(path), print) as source:
        frame = next(iter(source.frames("bgr")))
        assert source.info.size == frame.pixels.shape[:2]
        assert source.info.aspect == (Fraction(2) if rotation == 180 else Fraction(1, 2))
    assert isinstance(frame, DecodedFrame) and frame.native is None
    # The bright corner was at the top left; angles are counterclockwise.
    height, width = frame.pixels.shape[:2]
    corner = {90: (height - 4, 4), 180: (height - 4, width - 4), -90: (4, width - 4)}[rotation]
    assert frame.pixels[corner].min() > 200
    assert (height, width) == ((48, 64) if rotation == 180 else (64, 48))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_frames_of_motion_jpeg_with_exif_are_read_and_turned_upright(
    tmp_path: Path, orientation: int
) -> None:
    picture = with_exif_orientation(cv2.imencode(".jpg", numbered(3))[1].tobytes(), orientation)
    (tmp_path / "a.mjpeg").write_bytes(picture * 3)
    with VideoSource(str(tmp_path / "a.mjpeg"), print) as source:
        frames = [frame.pixels for frame in source.frames("bgr")]
        size = source.info.size
    expected = upright(numbered(3), orientation)
    assert len(frames) == 3 and size == expected.shape[:2]
    assert np.abs(frames[0].astype(int) - expected).mean() < 8


def test_sound_comes_along_as_it_is(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", count=30, sound="aac")
    with VideoSource(str(path), print) as source:
        count = sum(1 for _ in source.frames("bgr"))
        packets = source.sound()
    assert count == 30
    assert len(packets) > 40
    assert source.sound() == []


def test_more_than_eight_bits_are_announced(tmp_path: Path) -> None:
    said: list[str] = []
    path = make_clip(tmp_path / "deep.mkv", pix_fmt="yuv420p10le")
    with VideoSource(str(path), said.append) as source:
        assert next(iter(source.frames("bgr"))).pixels.dtype == np.uint8
    assert any("10-bit" in line for line in said)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_a_truncated_video_gives_what_is_there_and_strict_refuses_it_at_once(
    tmp_path: Path, suffix: str
) -> None:
    options = {"movflags": "faststart"} if suffix in (".mp4", ".mov") else {}
    rng = np.random.default_rng(0)
    noise = [np.repeat(rng.integers(0, 256, (48, 64, 1), np.uint8), 3, 2) for _ in range(60)]
    path = make_clip(
        tmp_path / f"a{suffix}", frames=noise, container_options=options, rate=Fraction(25),
        time_base=Fraction(1, 25), options={"bf": "0", "crf": "1"},
    )  # fmt: skip
    assert missing_bytes(path) == 0
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    missing = missing_bytes(path)
    assert missing > 0
    said: list[str] = []
    with VideoSource(str(path), said.append) as source:
        frames = [frame.pixels for frame in source.frames("bgr")]
    assert 38 <= len(frames) <= 42
    # The last picture may be incomplete, and the decoder conceals that.
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(frames[:38], noise, strict=False)) < 25
    shown = f"truncated: {missing:,} of {len(data):,} bytes are missing"
    assert said[0] == f"{path}: may be {shown}" and len(said) <= 2
    with pytest.raises(UserError, match=f"is {shown}"):
        VideoSource(str(path), print, strict=True)


def test_a_truncated_video_without_its_index_is_refused(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", count=60)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match="is truncated: 300 of"):
        VideoSource(str(path), print)


def test_damage_is_skipped_and_noted_or_an_error_that_says_where(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(60)]
    path = make_clip(tmp_path / "a.mkv", frames=noise)
    data = bytearray(path.read_bytes())
    # The demuxer loses sync here and reports the end of the file: only the duration reveals it.
    data[len(data) // 3 : len(data) // 3 + 3000] = bytes(3000)
    path.write_bytes(data)
    said: list[str] = []
    with VideoSource(str(path), said.append) as source:
        count = len(list(source.frames("bgr")))
    (line,) = said
    assert 10 < count < 30 and line.endswith(f"; {count} frames were decoded")
    assert re.search(r"a\.mkv: is damaged: .*1\.\d s of 2\.0 s are missing", line)
    with pytest.raises(UserError, match=r"damaged or truncated after frame \d+"):
        list(VideoSource(str(path), print, strict=True).frames("bgr"))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
def test_zero_frames_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"none{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        container.start_encoding()
    with pytest.raises(UserError) as error:
        VideoSource(str(path), print)
    assert "\n" not in str(error.value)


def test_sound_only_is_an_error(tmp_path: Path) -> None:
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    with pytest.raises(UserError, match="no video"):
        VideoSource(str(tmp_path / "a.wav"), print)


@pytest.mark.parametrize(
    ("text", "message"),
    [("nothing.mp4", "no such file"), ("ftp://host/a.mp4", "ftp"), ("concat:a|b", "no such file")],
)
def test_an_input_that_cannot_be_opened_gets_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_source(text, print)


def test_a_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "plain.mp4", count=3).rename(tmp_path / "http:a.mp4")
    with open_source("http:a.mp4", print) as source:
        assert source.info.frames == 3
    with open_source(f"file://{tmp_path}/http:a.mp4", print) as source:
        assert source.info.frames == 3


def test_a_file_address_is_what_its_path_is(tmp_path: Path) -> None:
    """A picture, a directory and a pattern, whose characters an address writes as codes."""
    folder = tmp_path / "two words"
    folder.mkdir()
    for index in range(2):
        write_picture(folder / f"{index}.png", numbered(index))
    address = folder.as_uri()
    assert "%20" in address
    for text, names in ((f"{address}/0.png", ["0.png"]), (address, ["0.png", "1.png"]),
                        (f"{address}/[1-9].png", ["1.png"])):  # fmt: skip
        with open_source(text, print) as source:
            assert (source.info.kind, [frame.name for frame in source.frames("bgr")]) == ("pictures", names)
    assert is_one_picture(f"{address}/0.png") and is_pictures(address)


@pytest.mark.parametrize("rate", [600, 1000])
def test_slow_motion_keeps_its_rate(rate: int, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", count=12, rate=Fraction(rate), time_base=Fraction(1, 90_000))
    with open_source(str(path), print) as source:
        assert source.info.rate == rate


def test_recordings_of_different_colours_keep_them_when_they_are_joined(tmp_path: Path) -> None:
    """A channel goes from a programme in HD to one in SD, whose pictures have another matrix or range."""
    path, parts = tmp_path / "joined.ts", []
    for index, tags in enumerate([(1, 1, 1, 1), (6, 1, 6, 6), (1, 2, 1, 1)]):
        part = make_clip(
            tmp_path / f"{index}.ts", frames=[colour_bars()] * 5, rate=Fraction(25), tags=tags, order="rgb24",
            container_options={"output_ts_offset": str(index)},
        )  # fmt: skip
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    with open_source(str(path), print) as source:
        frames = list(source.frames("rgb"))
    assert len(frames) == 15
    wrong = [np.abs(frame.pixels[:, 4::32].astype(int) - BARS).max() for frame in frames]
    assert max(wrong) <= 3
    # Only what has the colours of the output is copied into a comparison.
    assert [frame.native is not None for frame in frames if isinstance(frame, DecodedFrame)] == [True] * 5 + [
        False
    ] * 10


def test_a_playlist_cannot_reach_the_network(tmp_path: Path) -> None:
    path = tmp_path / "a.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    with pytest.raises(UserError, match="playlist"):
        open_source(str(path), print)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rtsp://me:p@ss/w?rd#1@cam/1", "write @ / ? # in a password as %40 %2F %3F %23"),
        ("rtsp://me:1234/5@cam/1", "write @ / ? # in a password as %40"),
        ("rtsp://me:p ss@cam/1", "write %20"),
        ("rtsp://me:a@p/ ss@cam/1", "write %20"),
        ("rtsp://me:s3cret/1", "is not a valid address; write rtsp://HOST:PORT/PATH"),
        ("rtsp://cam:99999/1", "is not a valid address"),
        ("rtsp://[::1/1", "is not a valid address"),
        ("rtsp://", "has no host"),
        ("http://:80/a", "has no host"),
    ],
)
def test_an_invalid_address_gets_one_line_at_once(text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as error:
        open_source(text, print)
    shown = str(error.value)
    assert "\n" not in shown and not any(
        part in shown for part in ("p@ss", "rd#1", "1234", "p ss", "/ ss", "s3cret")
    )


def test_addresses_that_are_right_though_they_look_odd() -> None:
    for text in ("rtsp://[::1]:554/1", "rtsp://me:p%40ss%2F@[fe80::1]/", "rtsp://cam", "http://host/@user/a"):
        assert parse_url(text).target == text


def test_addresses() -> None:
    assert is_url("rtsp://x") and is_url("file:a") and not is_url("C:/a.mp4") and not is_url("a:b.mp4")
    assert parse_url("rtsp://x").live and not parse_url("https://x/a.mp4").live
    assert "file" not in parse_url("http://x/a.m3u8").options["protocol_whitelist"].split(",")


@pytest.fixture
def mute_server() -> Iterator[int]:
    """A server that accepts connections and never responds."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        connections: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    connections.append(listener.accept()[0])
            except OSError:
                pass

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_mute_server_is_given_up(mute_server: int, scheme: str) -> None:
    with pytest.raises(UserError) as error:
        VideoSource(f"{scheme}://user:secret@127.0.0.1:{mute_server}/a", print, timeout=0.5)
    assert "secret" not in str(error.value) and "***@127.0.0.1" in str(error.value)
    assert "no response within 0.5 s" in str(error.value)


def test_a_refused_connection_and_an_unknown_host_have_different_messages() -> None:
    with socket.create_server(("127.0.0.1", 0)) as chooser:
        port = chooser.getsockname()[1]
    with pytest.raises(UserError, match=f"127.0.0.1:{port}/a: cannot be opened: Connection refused"):
        VideoSource(f"rtsp://127.0.0.1:{port}/a", print)
    # A name that never resolves (RFC 6761), with or without a name server.
    with pytest.raises(UserError, match="unknown host, or no network"):
        VideoSource("rtsp://camera.invalid/a", print)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Never responds."""


def test_a_video_over_http(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", count=12, container_options={"movflags": "faststart"})
    noise = np.random.default_rng(7).integers(0, 256, (40, 120, 160, 3), np.uint8)
    make_clip(tmp_path / "long.mp4", frames=list(noise))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://me:secret@127.0.0.1:{server.server_port}/"
            with open_source(f"{url}a.mp4", print) as source:
                assert not source.info.live and "secret" not in source.info.name
                assert [number_of(frame.pixels) for frame in source.frames("bgr")] == list(range(12))
            with pytest.raises(UserError, match="404") as error:
                open_source(f"{url}b.mp4", print)
            assert "secret" not in str(error.value)
            # This server always sends the whole file, so the data before the index cannot be read again.
            with pytest.raises(UserError, match=r"no frames.*index is at the end.*download it first"):
                open_source(f"{url}long.mp4", print)
        finally:
            server.shutdown()
            thread.join()


class Native:
    def __init__(self, pts: int | None) -> None:
        self.pts = pts


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        # Missing ones are a frame period apart, 4 here; repeated ones share the time that there is.
        ([None, None, 10, 10, 9, 20], [0, 4, 10, 14, 18, 20]),
        ([0, 0, 8, 8, 16, 16], [0, 4, 8, 12, 16, 20]),
        ([0, 0, 1000], [0, 4, 1000]),
        ([50] * 20 + [52], [50 + 4 * i for i in range(21)]),
        ([100 - i for i in range(12)], [100 + 4 * i for i in range(12)]),
        # Two recordings joined: the second one starts again.
        ([0, 4, 8, 12, 0, 4, 8, 12, 16], [4 * i for i in range(9)]),
        # Damaged ones do not move the frames after them.
        ([0, 4, 8, 9000, 16, 20], [0, 4, 8, 12, 16, 20]),
        ([0, 4, 9000, 9000, 16, 20], [0, 4, 8, 12, 16, 20]),
        ([0, 4, 9000, 9004, 9008, 20, 24], [0, 4, 8, 12, 16, 20, 24]),
        ([0, 4, 900, 9000, -5, 20, 24], [0, 4, 8, 12, 16, 20, 24]),
        ([0, 4, 9000, None, 9004, 20, 24], [0, 4, 8, 12, 16, 20, 24]),
        ([0, 4, 9000, 12, 9001, 20], [0, 4, 8, 12, 16, 20]),
        # Three frames and only two units of time for them.
        ([0, 4, None, None, 6, 12], [0, 4, 5, 6, 7, 12]),
        ([7], [7]),
    ],
)
def test_timestamps_that_do_not_go_forward_are_replaced(stamps: list[int | None], times: list[int]) -> None:
    said: list[str] = []
    frames = [Native(pts) for pts in stamps]
    timed = list(Clock(Fraction(1, 100), Fraction(25), said.append).timed(frames))  # type: ignore[arg-type]
    assert [frame for frame, _ in timed] == frames
    assert [time for _, time in timed] == times
    assert bool(said) == (len(stamps) > 1)


@pytest.mark.parametrize(
    ("suffix", "base", "stamp"),
    [
        (".mkv", 1000, lambda index: 0),
        (".mkv", 1000, lambda index: 5000),
        (".mkv", 1000, lambda index: index // 2 * 80),
        (".flv", 1000, lambda index: index // 3 * 120),
        (".ts", 90_000, lambda index: 0),
    ],
)
def test_a_file_whose_timestamps_repeat_plays_at_its_rate(
    tmp_path: Path, suffix: str, base: int, stamp: Callable[[int], int]
) -> None:
    """250 frames that were once written within milliseconds."""
    clip = make_clip(
        tmp_path / "in.mkv", count=250, rate=Fraction(25), time_base=Fraction(1, 25),
        options={"bf": "0", "preset": "ultrafast"},
    )  # fmt: skip
    stuck = tmp_path / f"stuck{suffix}"
    with av.open(str(clip)) as source, av.open(str(stuck), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.stream, packet.time_base, packet.duration = stream, Fraction(1, base), 0
            packet.pts = packet.dts = stamp(index)
            target.mux(packet)
    said: list[str] = []
    with VideoSource(str(stuck), said.append) as video:
        frames = list(video.frames("bgr"))
        assert video.info.rate is not None and video.info.rate <= 25
    assert [number_of(frame.pixels) for frame in frames] == [i % 14 for i in range(250)]
    seconds = [float(frame.pts * frame.time_base) for frame in frames]  # type: ignore[operator]
    gaps = [b - a for a, b in pairwise(seconds)]
    assert min(gaps) > 0.03 and max(gaps) < 0.05
    assert set(said) == {"some timestamps of the video do not increase; they are corrected"}


def test_steps_are_exact() -> None:
    assert steps(3) == [0, 1001, 2002]
