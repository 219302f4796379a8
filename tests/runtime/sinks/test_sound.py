"""Sound on its way into an output: copied where a container can hold it, else decoded; damage is left out."""

import resource
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.packet import Packet

from granet.errors import UserError
from runtime.sinks.video.sound_spacing import SoundSpacing
from runtime.sources.base import SoundPacket
from tests.media import make_clip, number_of, numbered, read_clip
from tests.runtime.sinks.test_video import convert, names_in

PLAIN = {"rate": Fraction(25), "time_base": Fraction(1, 25), "options": {"bf": "0", "crf": "1"}}


def heard(path: Path) -> tuple[str, np.ndarray]:
    """Codec, and mono samples in [-1, 1]."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("flt", "mono", stream.codec_context.sample_rate)
        frames = [part for frame in container.decode(stream) for part in resampler.resample(frame)]
        frames += resampler.resample(None)
        return stream.codec_context.name, np.concatenate([frame.to_ndarray().ravel() for frame in frames])


def clip_with_sound(path: Path, codec: str, count: int = 50) -> Path:
    """A clip with a tone; players of old codecs want old pictures beside them."""
    picture = "msmpeg4" if path.suffix == ".wmv" else "libx264"
    settings = PLAIN if picture == "libx264" else {**PLAIN, "options": {}}
    return make_clip(path, count=count, codec=picture, sound=codec, **settings)


@pytest.mark.parametrize(
    ("codec", "source", "target"),
    [
        ("adpcm_ima_wav", ".avi", ".mkv"),
        ("adpcm_ima_wav", ".avi", ".avi"),
        ("adpcm_ms", ".avi", ".mkv"),
        ("wmav2", ".wmv", ".mkv"),
        ("wmav2", ".wmv", ".avi"),
        ("wmav1", ".wmv", ".mkv"),
        ("aac", ".ts", ".mkv"),
        ("aac", ".ts", ".mp4"),
        ("aac", ".ts", ".mov"),
        ("aac", ".ts", ".avi"),
        ("mp2", ".ts", ".mkv"),
        ("ac3", ".ts", ".mp4"),
        ("flac", ".mkv", ".mp4"),
        ("pcm_s24le", ".mkv", ".mov"),
        ("adpcm_yamaha", ".avi", ".mkv"),
        ("alac", ".mov", ".mkv"),
        ("alac", ".mkv", ".mp4"),
    ],
)
def test_what_a_container_can_hold_is_copied(tmp_path: Path, codec: str, source: str, target: str) -> None:
    clip, out = clip_with_sound(tmp_path / f"in{source}", codec), tmp_path / f"out{target}"
    assert convert(clip, out) == []
    (was_codec, was), (codec_now, now) = heard(clip), heard(out)
    assert codec_now == was_codec
    np.testing.assert_array_equal(now, was)


@pytest.mark.parametrize(
    ("codec", "source", "target"),
    [
        ("adpcm_ima_wav", ".avi", ".mov"),
        ("adpcm_ms", ".avi", ".mp4"),
        ("wmav2", ".wmv", ".mov"),
        ("libopus", ".mkv", ".avi"),
        ("pcm_mulaw", ".mov", ".mkv"),
        ("pcm_alaw", ".mov", ".avi"),
    ],
)
def test_what_a_container_cannot_hold_is_decoded_and_that_is_noted(
    tmp_path: Path, codec: str, source: str, target: str
) -> None:
    clip, out = clip_with_sound(tmp_path / f"in{source}", codec), tmp_path / f"out{target}"
    name, was = heard(clip)
    said = convert(clip, out)
    codec_now, now = heard(out)
    if codec_now == name or name.startswith("pcm_"):
        # Newer versions of FFmpeg may learn to copy it, and G.711 loses nothing.
        assert said == []
    else:
        assert said == [f"{out}: the sound ({name}) is written as PCM"] and codec_now == "pcm_s16le"
    assert abs(len(now) - len(was)) <= 2048
    length = min(len(now), len(was))
    # Sixteen bits, clipped at full scale.
    assert np.abs(now[:length] - was[:length].clip(-1, 1)).max() < 2 / 32768


@pytest.mark.parametrize("codec", ["adpcm_ima_wav", "adpcm_ms"])
def test_sound_that_fits_no_way_is_an_error_that_names_a_container(tmp_path: Path, codec: str) -> None:
    clip = clip_with_sound(tmp_path / "in.avi", codec)
    with pytest.raises(UserError, match=rf"cannot hold the sound of the input \({codec}\); write \.mkv"):
        convert(clip, tmp_path / "out.webm")
    assert names_in(tmp_path) == ["in.avi"]


def without_a_packet_of_sound(path: Path, seed: int) -> None:
    """A transport stream of which 188 bytes of sound are lost."""
    data = path.read_bytes()
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    sound = [i for i, p in enumerate(packets) if int.from_bytes(p[1:3], "big") & 0x1FFF == 0x101]
    lost = int(np.random.default_rng(seed).choice(sound[2:-2]))
    path.write_bytes(b"".join(packets[:lost] + packets[lost + 1 :]))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".avi"])
@pytest.mark.parametrize("seed", range(2))
def test_lost_sound_costs_sound_and_no_picture(tmp_path: Path, suffix: str, seed: int) -> None:
    clip = make_clip(tmp_path / "in.ts", count=50, sound="aac", **PLAIN)
    whole = len(heard(clip)[1])
    without_a_packet_of_sound(clip, seed)
    out = tmp_path / f"out{suffix}"
    said = convert(clip, out)
    assert [number_of(frame) for frame in read_clip(out).frames] == [i % 14 for i in range(50)]
    assert 0 < whole - len(heard(out)[1]) < 0.4 * whole
    assert len(said) <= 1 and all(
        line.startswith(f"{clip}: ") and line.endswith(f"of the sound left out of {out}") for line in said
    )


def test_sound_that_the_muxer_refuses_is_counted_and_left_out(tmp_path: Path) -> None:
    """AAC packets without the header that the others have, and without anything."""
    clip = make_clip(tmp_path / "in.ts", count=50, sound="aac", **PLAIN)
    broken = tmp_path / "broken.nut"
    with av.open(str(clip)) as source, av.open(str(broken), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for count, packet in enumerate(p for p in source.demux() if p.size):
            if packet.stream.type == "audio" and 40 <= count < 60:
                junk = av.Packet(b"\xff\xf1" + bytes(7))
                junk.pts, junk.dts, junk.time_base = packet.pts, packet.dts, packet.time_base
                junk.stream = streams[packet.stream.index]
                target.mux(junk)
                continue
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    for suffix in (".mkv", ".mp4"):
        said = convert(broken, tmp_path / f"out{suffix}")
        assert len(read_clip(tmp_path / f"out{suffix}").frames) == 50
        assert len(said) == 1 and "damaged packets of the sound left out" in said[0]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
@pytest.mark.parametrize("kind", ["repeated", "from the start again", "constant"])
def test_timestamps_of_sound_that_do_not_increase_end_nothing(tmp_path: Path, suffix: str, kind: str) -> None:
    clip, odd = make_clip(tmp_path / "in.mkv", count=50, sound="aac", **PLAIN), tmp_path / "odd.flv"
    with av.open(str(clip)) as source, av.open(str(odd), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in (p for p in source.demux() if p.size):
            if packet.stream.type == "audio":
                time = max(0, packet.pts or 0)  # AAC begins before 0
                packet.pts = packet.dts = {
                    "repeated": time // 50 * 50, "from the start again": time % 1000, "constant": 0,
                }[kind]  # fmt: skip
            packet.stream = streams[packet.stream.index]
            try:
                target.mux(packet)
            except av.FFmpegError:
                # The muxer of the test's own file refuses steps back.
                assert kind == "from the start again"
    before = read_clip(odd)
    convert(odd, tmp_path / f"out{suffix}")
    after = read_clip(tmp_path / f"out{suffix}")
    assert len(after.frames) == 50 and after.sound == before.sound
    assert all(a < b for a, b in pairwise(after.sound_times))
    if suffix != ".avi" and kind != "from the start again":
        assert after.sound_times[-1] == pytest.approx(2, abs=0.15)


def with_changing_sound(path: Path, codec: str) -> Path:
    """Two transport streams joined, the second with another rate and fewer channels."""
    data = b""
    for rate, layout in ((48000, "stereo"), (32000, "mono")):
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=25, options={"bf": "0"})
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            sound = container.add_stream(codec, rate=rate)
            sound.layout = layout
            for index in range(25):
                frame = av.VideoFrame.from_ndarray(numbered(index), "bgr24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            wave = (np.sin(np.arange(rate) / 20) * 8000).astype(np.int16)
            tone = av.AudioFrame.from_ndarray(
                np.repeat(wave, 2)[None] if layout == "stereo" else wave[None], "s16", layout
            )
            tone.sample_rate, tone.pts, tone.time_base = rate, 0, Fraction(1, rate)
            container.mux(sound.encode(tone))
            container.mux(sound.encode(None))
        data += path.read_bytes()
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("codec", "suffix"), [("aac", ".mkv"), ("aac", ".mp4"), ("mp2", ".mkv")])
def test_copied_sound_that_changes_is_told_and_harms_no_header(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    """The new header of AAC would be written over that of Matroska, whose tracks then come out twice."""
    clip, out = with_changing_sound(tmp_path / "in.ts", codec), tmp_path / f"out{suffix}"
    said = convert(clip, out)
    assert len(read_clip(out).frames) == 50
    (line,) = (line for line in said if "the sound" in line)
    assert line.startswith(f"{clip}: the sound changes from 48000 Hz, stereo to ") and "mono" in line
    with av.open(str(out)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    # The second recording begins at zero again: its sound follows that of the first at its own pace.
    times = read_clip(out).sound_times
    assert max(after - before for before, after in pairwise(times)) < 0.15
    assert min(after - before for before, after in pairwise(times[-25:])) > 0.01


def test_decoded_sound_that_changes_becomes_that_of_the_output(tmp_path: Path) -> None:
    clip = with_changing_sound(tmp_path / "in.ts", "mp2")
    said = convert(clip, tmp_path / "out.mp4")
    assert [line for line in said if "the sound" in line] == [
        f"{tmp_path / 'out.mp4'}: the sound (mp2) is written as PCM"
    ]
    name, samples = heard(tmp_path / "out.mp4")
    assert name == "pcm_s16le" and len(read_clip(tmp_path / "out.mp4").frames) == 50
    assert 1.7 * 48000 < len(samples) < 2.3 * 48000
    assert np.abs(samples[:40000]).max() > 0.1 and np.abs(samples[-30000:]).max() > 0.1


def labelled(path: Path, label: str, clip: Path) -> Path:
    """The clip with its sound under the name of another codec."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        streams = {"video": target.add_stream_from_template(source.streams.video[0])}
        streams["audio"] = target.add_stream(label, rate=48000)
        target.start_encoding()
        for packet in (p for p in source.demux() if p.size):
            copy = av.Packet(bytes(packet))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.stream = streams[packet.stream.type]
            target.mux(copy)
    return path


def test_sound_of_which_no_packet_decodes_is_copied_and_told_or_named(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", count=25, sound="aac", **PLAIN)
    wrong, out = labelled(tmp_path / "wrong.mkv", "ac3", clip), tmp_path / "out.mkv"
    assert convert(wrong, out) == [
        f"{out}: the sound (ac3) cannot be decoded; it is copied as it is, and may not play"
    ]
    assert len(read_clip(out).frames) == 25
    with pytest.raises(UserError, match=r"wrong\.mkv: its sound is damaged, or is not ac3 .* write \.mkv"):
        convert(wrong, tmp_path / "out.mp4")


def test_a_full_disk_is_still_the_fault_of_the_output(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(50)]
    clip = make_clip(tmp_path / "in.ts", frames=noise, sound="aac", **PLAIN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(UserError, match=r"out\.mkv: cannot be written: File too large"):
            convert(clip, tmp_path / "out.mkv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names_in(tmp_path) == ["in.ts"]


def test_subtitles_with_impossible_timestamps_cost_no_picture(tmp_path: Path) -> None:
    clip, odd = make_clip(tmp_path / "in.mkv", count=25, sound="aac", **PLAIN), tmp_path / "odd.mkv"
    with av.open(str(clip)) as source, av.open(str(odd), "w") as target:
        text = target.add_mux_stream("subrip")
        text.time_base = Fraction(1, 1000)
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for count, packet in enumerate(p for p in source.demux() if p.size):
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
            if count % 10 == 0:
                line = av.Packet(b"hello")
                line.stream, line.time_base = text, Fraction(1, 1000)
                line.pts = line.dts = 10**6 + count
                line.duration = 10**8
                target.mux(line)
    said = convert(odd, tmp_path / "out.mkv")
    after = read_clip(tmp_path / "out.mkv")
    assert [number_of(frame) for frame in after.frames] == [i % 14 for i in range(25)]
    assert after.sound and said == ["not copied to the output: 1 subtitle stream"]


def test_a_packet_that_is_moved_keeps_its_duration() -> None:
    """Three packets of 20 ms, of which the second has the time of the first."""
    spacing, packets = SoundSpacing(), [Packet(b"sound") for _ in range(3)]
    for packet, at in zip(packets, (1000, 1000, 1040), strict=True):
        packet.time_base, packet.duration = Fraction(1, 1000), 20
        packet.pts = packet.dts = at
        spacing.apply(cast("SoundPacket", packet), Fraction(1, 48_000))
    times = [tuple((n or 0) * each.time_base for n in (each.dts, each.duration)) for each in packets]
    milliseconds = Fraction(1, 1000)
    assert times == [(at * milliseconds, 20 * milliseconds) for at in (1000, 1020, 1040)]
