"""Streams that are neither the picture nor sound cost no recording."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.container import OutputContainer
from av.stream import Disposition, Stream

from runtime.archive.attempt import process_segment
from runtime.archive.job_folder import FileRecord
from runtime.archive.join import join_file
from runtime.sources.base import Track
from tests.runtime.archive.recordings import made_job, make_recording, planned
from tests.runtime.fakes import FakeEngine

MILLISECOND = Fraction(1, 1000)


def with_stream(
    path: Path, add: Callable[[OutputContainer], Stream], texts: dict[int, bytes], **settings: Any
) -> None:
    """A recording with another stream; ``texts`` are its packets by their time in milliseconds."""
    plain = make_recording(path.with_name(f"plain{path.suffix}"), 40, **settings)
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        video, extra = target.add_stream_from_template(source.streams.video[0]), add(target)
        for time, text in texts.items():
            packet: av.Packet[Any] = av.Packet(text)
            packet.stream, packet.time_base, packet.pts, packet.dts = extra, MILLISECOND, time, time
            packet.duration = 500
            target.mux(packet)
        for coded in source.demux(video=0):
            if coded.size:
                coded.stream = video
                target.mux(coded)


def processed(tmp_path: Path, path: Path) -> FileRecord:
    job, file = made_job(tmp_path / "dst"), planned(path)
    for segment in file.segments:
        process_segment(job, file, segment, FakeEngine(invert=True), skip_dry=False)
    return join_file(job, file, overwrite=False)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_chapters_and_subtitles_of_an_mp4_arrive_once(tmp_path: Path, suffix: str) -> None:
    def add(target: OutputContainer) -> Stream:
        target.set_chapters(
            [{"id": 1, "start": 0, "end": 2000, "time_base": MILLISECOND, "metadata": {"title": "Road"}}]
        )
        return target.add_mux_stream("mov_text")

    path = tmp_path / f"a{suffix}"
    with_stream(path, add, {500: b"\0\5hello", 2000: b"\0\5again"})
    record = processed(tmp_path, path)
    with av.open(str(tmp_path / "dst" / path.name)) as made, av.open(str(path)) as source:
        assert [each.type for each in made.streams] == [each.type for each in source.streams]
        assert [chapter["metadata"]["title"] for chapter in made.chapters()] == ["Road"]
        texts = [bytes(each) for each in made.demux(subtitles=0) if each.size > 2]
    assert texts == [b"\0\5hello", b"\0\5again"]
    assert record.frames == 40 and not record.notes


@pytest.mark.parametrize(
    ("suffix", "codec", "text"),
    [
        (".mkv", "subrip", b"hello"),
        (".mkv", "ass", b"0,0,Default,,0,0,0,,hello"),
        (".mp4", "mov_text", b"\0\5hello"),
        (".mov", "mov_text", b"\0\5hello"),
        (".webm", "webvtt", b"hello"),
    ],
)
def test_subtitles_keep_their_language_title_and_flags(
    tmp_path: Path, suffix: str, codec: str, text: bytes
) -> None:
    def add(target: OutputContainer) -> Stream:
        stream = target.add_mux_stream(codec)
        stream.metadata.update({"language": "ita", "title": "Per sordi"})
        stream.disposition = Disposition.default
        return stream

    path = tmp_path / f"a{suffix}"
    kind = {"codec": "libvpx-vp9", "options": {"g": "10"}} if suffix == ".webm" else {}
    with_stream(path, add, {500: text}, **kind)
    processed(tmp_path, path)
    with av.open(str(path)) as source, av.open(str(tmp_path / "dst" / path.name)) as made:
        tracks = [Track.of(each.streams.subtitles[0]) for each in (source, made)]
        packets = [[bytes(p) for p in each.demux(subtitles=0) if p.size > 2] for each in (source, made)]
    assert tracks[0] == tracks[1] and tracks[1].labels == {"language": "ita", "title": "Per sordi"}
    assert packets[0] == packets[1] != []


def test_data_that_the_result_cannot_hold_is_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    with_stream(path, lambda target: target.add_data_stream("klv"), {500: b"position"})
    record = processed(tmp_path, path)
    assert record.output == "a.ts.mkv" and record.frames == 40
    assert "not kept: a data stream, which matroska cannot hold" in record.notes


def test_a_subtitle_whose_time_goes_back_is_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with_stream(
        path, lambda target: target.add_mux_stream("subrip"), {500: b"one", 1500: b"two", 2500: b"three"}
    )
    data = bytearray(path.read_bytes())
    block = data.index(b"two") - 3  # its time in the cluster, in 16 bits, and its flags
    data[block : block + 2] = (0).to_bytes(2, "big")
    path.write_bytes(data)
    record = processed(tmp_path, path)
    with av.open(str(tmp_path / "dst" / "a.mkv")) as made:
        assert [bytes(each) for each in made.demux(subtitles=0) if each.size] == [b"one", b"three"]
    assert record.frames == 40
    assert "1 packets of other streams, whose time goes back, are left out" in record.notes
