"""Damaged and odd video files: whole frames are processed, damage is reported; a guess refuses nothing."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.container import InputContainer
from av.stream import Stream

from granet.errors import UserError
from runtime.media.demuxing import demuxed
from runtime.sources.open import open_source
from runtime.sources.video.truncation import missing_bytes
from tests.media import make_clip, number_of

PLAIN = {"rate": Fraction(25), "time_base": Fraction(1, 25), "options": {"bf": "0", "crf": "1"}}


def read(path: Path, *, strict: bool = False) -> tuple[list[int], list[str]]:
    """Numbers of the frames, and what was said."""
    said: list[str] = []
    with open_source(str(path), said.append, strict=strict) as source:
        return [number_of(frame.pixels) for frame in source.frames("bgr")], said


def numbers(count: int) -> list[int]:
    return [index % 14 for index in range(count)]


def piped(data: bytes) -> bytes:
    """AVI as FFmpeg writes it to a pipe: placeholders for the size and for the number of frames."""
    at = data.index(b"avih") + 8 + 16
    data = data[:4] + b"\xff" * 4 + data[8:at] + (1 << 30).to_bytes(4, "little") + data[at + 4 :]
    at = data.index(b"strh") + 8 + 32
    return data[:at] + (1 << 30).to_bytes(4, "little") + data[at + 4 :]


def resized(data: bytes, extra: int) -> bytes:
    """RIFF with another size."""
    return data[:4] + (int.from_bytes(data[4:8], "little") + extra).to_bytes(4, "little") + data[8:]


def box_size(kind: bytes, size: int, wide: int | None = None) -> Callable[[bytes], bytes]:
    """MP4 in which a box states another size."""

    def change(data: bytes) -> bytes:
        at = data.rindex(kind) - 4
        assert wide is None or data[at - 8 : at - 4] == (8).to_bytes(4, "big")
        if wide is not None:
            # FFmpeg leaves an empty box in front of mdat, for a size of 64 bits.
            return data[: at - 8] + (1).to_bytes(4, "big") + kind + wide.to_bytes(8, "big") + data[at + 8 :]
        return data[:at] + size.to_bytes(4, "big") + data[at + 4 :]

    return change


MATROSKA_UNKNOWN = b"\x01" + b"\xff" * 7

ODD: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a tag after MP4": (".mp4", lambda data: data + b"TAGTitle of a song".ljust(128, b" ")),
    "0xFF after MP4": (".mp4", lambda data: data + b"\xff" * 4096),
    "zeros after MP4": (".mp4", lambda data: data + bytes(4096)),
    "text after QuickTime": (".mov", lambda data: data + b"junk" * 300),
    "an APE tag after MP4": (".mp4", lambda data: data + b"APETAGEX\xd0\x07\0\0" + bytes(20)),
    "AVI from a pipe": (".avi", piped),
    "AVI of size 0": (".avi", lambda data: data[:4] + bytes(4) + data[8:]),
    "a tag after AVI": (".avi", lambda data: data + b"TAG".ljust(128, b" ")),
    "0xFF after Matroska": (".mkv", lambda data: data + b"\xff" * 4096),
    "Matroska of unknown size": (
        ".mkv",
        lambda data: data.replace(
            data[data.index(b"\x18\x53\x80\x67") :][:12], b"\x18\x53\x80\x67" + MATROSKA_UNKNOWN
        ),
    ),
    "a tag after a broadcast": (".ts", lambda data: data + b"TAG".ljust(128, b" ")),
    "a tag after FLV": (".flv", lambda data: data + b"TAG".ljust(128, b" ")),
}


@pytest.mark.parametrize("kind", ODD)
def test_a_whole_file_of_which_something_is_odd_is_read_without_a_word(tmp_path: Path, kind: str) -> None:
    suffix, change = ODD[kind]
    path = make_clip(tmp_path / f"a{suffix}", count=25, **PLAIN)
    path.write_bytes(change(path.read_bytes()))
    assert missing_bytes(path) == 0
    assert read(path) == (numbers(25), [])
    assert read(path, strict=True)[0] == numbers(25)


def test_mp4_whose_last_box_goes_on_to_the_end(tmp_path: Path) -> None:
    options = {"movflags": "faststart"}
    path = make_clip(tmp_path / "a.mp4", count=25, container_options=options, **PLAIN)
    data = path.read_bytes()
    for change in (box_size(b"mdat", 0), box_size(b"mdat", 0, wide=2**64 - 1)):
        path.write_bytes(change(data))
        assert missing_bytes(path) == 0
        assert read(path) == (numbers(25), [])


@pytest.mark.parametrize(
    ("suffix", "change"),
    [
        (".avi", lambda data: resized(data, 500)),
        (".avi", lambda data: resized(data, 10**9)),
        (".mp4", box_size(b"mdat", 2**31)),
        (".mp4", box_size(b"mdat", 0, wide=2**40)),
    ],
)
def test_a_size_that_is_too_large_is_only_a_warning(
    tmp_path: Path, suffix: str, change: Callable[[bytes], bytes]
) -> None:
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    path = make_clip(tmp_path / f"a{suffix}", count=25, container_options=options, **PLAIN)
    path.write_bytes(change(path.read_bytes()))
    missing = missing_bytes(path)
    got, said = read(path)
    assert got == numbers(25)
    assert said == [
        f"{path}: may be truncated: {missing:,} of {path.stat().st_size + missing:,} bytes are missing"
    ]
    with pytest.raises(UserError, match="is truncated"):
        read(path, strict=True)


@pytest.mark.parametrize("change", [box_size(b"mdat", 2**31), box_size(b"mdat", 0, wide=2**40)])
def test_media_data_that_covers_the_index_hides_no_frame(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    path = make_clip(tmp_path / "a.mp4", count=25, **PLAIN)
    whole = path.read_bytes()
    changed = change(whole)
    path.write_bytes(changed)
    got, said = read(path)
    assert got == numbers(25) and path.read_bytes() == changed
    assert len(said) == 1 and "may be truncated" in said[0]
    with pytest.raises(UserError, match="is truncated"):
        read(path, strict=True)
    path.write_bytes(changed[: whole.rindex(b"moov") + 100])  # only the beginning of the index
    with pytest.raises(UserError, match="is truncated"):
        read(path)


def test_a_file_that_shrinks_while_it_is_read_ends_the_reading_and_not_the_process(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", count=25, **PLAIN)
    path.write_bytes(box_size(b"mdat", 2**31)(path.read_bytes()))
    code = (
        "import os, sys\nfrom runtime.sources.video.address import address_of\n"
        "from runtime.sources.video.oversized_box import with_index\n"
        "file = with_index(address_of(sys.argv[1])).opener()\n"
        "os.truncate(sys.argv[1], 0)\nprint(len(file.read(100)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("suffix", [".mp4", ".flv", ".mov"])
@pytest.mark.parametrize("count", [25, 3])
def test_a_second_file_behind_the_first_is_told(tmp_path: Path, suffix: str, count: int) -> None:
    """FFmpeg reads both of other containers, and of these only the first."""
    path = make_clip(tmp_path / f"a{suffix}", count=25, **PLAIN)
    other = make_clip(tmp_path / f"b{suffix}", count=count, **PLAIN)
    path.write_bytes(path.read_bytes() + other.read_bytes())
    got, said = read(path)
    assert got == numbers(25)
    assert said == [
        f"{path}: a second video that was joined to it is left out; process it as a file of its own"
    ]


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".ts", ".mpg", ".webm"])
def test_a_second_file_behind_the_first_is_read_where_ffmpeg_can(tmp_path: Path, suffix: str) -> None:
    codec = {".webm": "libvpx-vp9", ".mpg": "mpeg2video"}.get(suffix, "libx264")
    settings = PLAIN if codec == "libx264" else {**PLAIN, "options": {"crf": "10"}}
    path = make_clip(tmp_path / f"a{suffix}", count=14, codec=codec, **settings)
    path.write_bytes(path.read_bytes() * 2)
    got, said = read(path)
    assert len(got) == 28 and not any("left out" in line for line in said)


def test_an_ogg_file_without_its_end_mark_is_told(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.ogg", count=50, codec="libvpx", options={"crf": "10"}, rate=Fraction(25))
    assert read(path)[1] == []
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"OggS")])
    assert f"{path}: may be truncated: its end mark is missing" in read(path)[1]


def test_data_that_ffmpeg_gives_up_on_ends_the_file_and_not_the_run(tmp_path: Path) -> None:
    """Ogg files of different streams, one behind the other."""
    path = make_clip(tmp_path / "a.ogg", count=25, codec="libvpx", options={"crf": "10"}, rate=Fraction(25))
    other = make_clip(
        tmp_path / "b.ogg",
        count=25,
        codec="libvpx",
        options={"crf": "10"},
        rate=Fraction(25),
        sound="libopus",
    )
    path.write_bytes(path.read_bytes() + other.read_bytes())
    got, said = read(path)
    assert len(got) >= 25
    assert any("is damaged" in line for line in said)
    with pytest.raises(UserError, match="is damaged or truncated after frame"):
        read(path, strict=True)


@pytest.mark.parametrize("suffix", [".flv"])
def test_a_stream_that_begins_later_does_not_end_the_run(tmp_path: Path, suffix: str) -> None:
    """FLV names no streams at its start: sound that begins after the probed part is a new stream."""
    length = {**PLAIN, "options": {"bf": "0", "crf": "1", "preset": "ultrafast"}, "size": (480, 640)}
    path = make_clip(tmp_path / f"a{suffix}", count=300, **length)
    other = make_clip(tmp_path / f"b{suffix}", count=14, sound="aac", **length)
    path.write_bytes(path.read_bytes() + other.read_bytes()[13:])  # without its header
    assert len(read(path)[0]) == 314


def test_what_pyav_raises_for_a_later_stream_is_the_end_of_the_packets() -> None:
    class Container:
        def demux(self, *streams: str) -> Iterator[str]:
            yield from streams
            raise IndexError("list index out of range")

    late: list[bool] = []
    container = cast("InputContainer", Container())
    found = [*demuxed(container, cast("Stream", "a"), late=lambda: late.append(True))]
    assert found == ["a"] and late == [True]


def test_a_placeholder_is_not_the_number_of_frames(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.avi", count=25, **PLAIN)
    path.write_bytes(piped(path.read_bytes()))
    with open_source(str(path), print) as source:
        assert source.info.frames is None and source.info.rate == 25


def packets_of(path: Path) -> list[bytes]:
    """The packets of a transport stream, each of 188 bytes."""
    data = path.read_bytes()
    return [data[at : at + 188] for at in range(0, len(data), 188)]


def pid_of(packet: bytes) -> int:
    return int.from_bytes(packet[1:3], "big") & 0x1FFF


@pytest.mark.parametrize("sound", [None, "aac"])
def test_joined_segments_are_read_to_the_end(tmp_path: Path, sound: str | None) -> None:
    """The continuity counters jump where they meet, which the demuxer reports as damage."""
    path = make_clip(tmp_path / "a.ts", count=14, sound=sound, **PLAIN)
    # The counters of the second segment start elsewhere.
    shifted = [p[:3] + bytes([(p[3] & 0xF0) | ((p[3] + 5) & 0xF)]) + p[4:] for p in packets_of(path)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(path.read_bytes() + b"".join(shifted))
    said: list[str] = []
    with open_source(str(joined), said.append) as source:
        frames = list(source.frames("bgr"))
    assert [number_of(frame.pixels) for frame in frames] == numbers(28)
    times = [float(frame.pts * frame.time_base) for frame in frames]  # type: ignore[operator]
    assert times == pytest.approx([times[0] + index / 25 for index in range(28)], abs=1e-3)
    assert all("not decodable" not in line for line in said)


@pytest.mark.parametrize("seed", range(6))
def test_after_a_lost_packet_of_a_broadcast_the_rest_is_read_and_the_loss_noted(
    tmp_path: Path, seed: int
) -> None:
    path = make_clip(tmp_path / "a.ts", count=50, **{**PLAIN, "options": {"bf": "0", "g": "5"}})
    packets = packets_of(path)
    video = [i for i, packet in enumerate(packets) if pid_of(packet) == 0x100]
    lost = int(np.random.default_rng(seed).choice(video[len(video) // 4 :]))
    path.write_bytes(b"".join(packets[:lost] + packets[lost + 1 :]))
    with av.open(str(path)) as container:
        sent = sum(1 for packet in container.demux(video=0) if packet.size)
    got, said = read(path)
    # Up to the next key frame, the decoder may drop pictures without an error.
    assert 44 <= len(got) <= 50
    assert len(said) == 1 and said[0].startswith(f"{path}: is damaged: 1 packet incomplete")
    assert said[0].endswith(f"; {len(got)} frames were decoded")
    told = re.search(r"(\d+) packets? not decodable", said[0])
    assert (int(told[1]) if told else 0) == sent - len(got)
    with pytest.raises(UserError, match=r"is damaged or truncated after frame \d+"):
        read(path, strict=True)


def broken_clip(directory: Path, codec: str, at: tuple[int, ...], **options: str) -> Path:
    """28 frames, each of which can be decoded alone, of which those at ``at`` are junk."""
    settings = {**PLAIN, "options": {"bf": "0", "g": "1", **options} if codec != "mjpeg" else {}}
    clip = make_clip(
        directory / "in.mkv", count=28, codec=codec, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
        **settings,
    )  # fmt: skip
    path = directory / "a.mkv"
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(p for p in source.demux(video=0) if p.size):
            if index in at:
                broken = av.Packet(b"\xff\xfe" * 10)
                broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
                packet = broken
            packet.stream = stream
            target.mux(packet)
    return path


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpeg", "libvpx-vp9"])
@pytest.mark.parametrize("at", [(26,), (27,), (20, 25, 27)])
def test_damage_near_the_end_is_noted_however_many_frames_it_costs(
    tmp_path: Path, codec: str, at: tuple[int, ...]
) -> None:
    """A decoder with threads reports no error while it is flushed."""
    path = broken_clip(tmp_path, codec, at)
    got, said = read(path)
    lost = 28 - len(got)
    assert len(at) <= lost < 12 and got[:20] == numbers(20)
    assert said == [
        f"{path}: is damaged: {lost} packet{'s' * (lost > 1)} not decodable; {len(got)} frames were decoded"
    ]
    with pytest.raises(UserError, match="is damaged or truncated after frame"):
        read(path, strict=True)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpeg"])
def test_packets_that_cannot_be_decoded_are_counted_and_the_others_read(tmp_path: Path, codec: str) -> None:
    path = broken_clip(tmp_path, codec, (9, 10))
    got, said = read(path)
    assert got == [number for index, number in enumerate(numbers(28)) if index not in (9, 10)]
    assert said == [f"{path}: is damaged: 2 packets not decodable; 26 frames were decoded"]
    with pytest.raises(UserError, match="is damaged or truncated after frame 9"):
        read(path, strict=True)


@pytest.mark.parametrize("at", [(9, 10), (20, 27)])
def test_lost_packets_of_interlaced_video_are_counted(tmp_path: Path, at: tuple[int, ...]) -> None:
    got, said = read(broken_clip(tmp_path, "libx264", at, **{"x264-params": "tff=1"}))
    lost = 28 - len(got)
    assert lost >= 2 and said == [
        "interlaced video is not deinterlaced; whole frames are processed and written",
        f"{tmp_path}/a.mkv: is damaged: {lost} packets not decodable; {len(got)} frames were decoded",
    ]


def test_a_file_of_which_nothing_decodes_is_refused(tmp_path: Path) -> None:
    clip, path = make_clip(tmp_path / "in.mkv", count=5), tmp_path / "a.mkv"
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                broken = av.Packet(b"\xff\xfe" * 10)
                broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
                broken.stream = stream
                target.mux(broken)
    with pytest.raises(UserError, match="no frames that can be decoded"):
        read(path)


def test_a_run_that_stops_early_tells_what_it_met(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.ts", count=50, **PLAIN)
    packets = packets_of(path)
    video = [i for i, packet in enumerate(packets) if pid_of(packet) == 0x100]
    path.write_bytes(b"".join(packets[: video[20]] + packets[video[21] :]))
    said: list[str] = []
    source = open_source(str(path), said.append)
    frames = source.frames("bgr")
    for _ in range(40):
        next(frames)
    assert said == []
    source.close()
    source.close()
    assert len(said) == 1 and "is damaged" in said[0]
