"""Several sinks at once: which frames each gets, and how the others fare when one is slow or fails."""

import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from granet.errors import UserError
from runtime.live.pipeline import Pipeline
from runtime.media.frame import Colour, Frame
from runtime.sinks import several
from runtime.sinks.base import Sink
from runtime.sinks.open import open_sink
from runtime.sinks.several import SeveralSinks, copied
from runtime.sinks.video.sink import VideoSink
from runtime.sources.base import SoundPacket
from runtime.sources.open import open_source
from runtime.telemetry.health import Health
from tests.media import make_clip, number_of, read_clip
from tests.patience import PATIENCE
from tests.runtime.fakes import FakeEngine


class Taker(Sink):
    """Records its frames and calls; can be slow, hang until a gate opens, fail or be closed."""

    def __init__(
        self,
        name: str,
        *,
        seconds: float = 0.0,
        gate: threading.Event | None = None,
        fail_at: int = -1,
        close_at: int = -1,
    ) -> None:
        self.name = name
        self.frames: list[Frame] = []
        self.befores: list[Frame | None] = []
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self._seconds, self._gate, self._fail_at, self._close_at = seconds, gate, fail_at, close_at

    def start(self, colour: Colour) -> None:
        self.calls.append("start")

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        self.threads.add(threading.get_ident())
        time.sleep(self._seconds)
        if self._gate is not None:
            assert self._gate.wait(PATIENCE), "the sink hung"
        if len(self.frames) == self._fail_at:
            raise UserError(f"{self.name}: pipe closed")
        self.frames.append(frame)
        self.befores.append(before)
        self.wants_more = len(self.frames) != self._close_at

    def finish(self) -> None:
        self.calls.append("finish")

    def abort(self) -> None:
        self.calls.append("abort")


class Window(Taker):
    main_thread = True


class Shown(Taker):
    """A display that records the calls that the other sinks got before it."""

    shows = True

    def __init__(self, name: str, *others: Taker) -> None:
        super().__init__(name)
        self._others = others
        self.before_its_end: list[str] = []

    def finish(self) -> None:
        super().finish()
        self.before_its_end = [call for other in self._others for call in other.calls]


def frame(index: int, fault: str = "") -> Frame:
    return Frame(np.full((48, 64, 3), index, np.uint8), index, index, Fraction(1, 25), fault=fault)


def live(*sinks: Sink) -> tuple[SeveralSinks, Health, list[str]]:
    said: list[str] = []
    health = Health("cam")
    together = SeveralSinks(sinks, live=True, health=health, say=said.append)
    together.start("bgr")
    return together, health, said


def wait_until(done: object, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_slow_sink_of_a_live_run_holds_up_neither_the_run_nor_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(several, "FINISH", 20.0)
    gate = threading.Event()
    slow, quick, window = Taker("slow", gate=gate), Taker("quick"), Window("window")
    together, health, _ = live(slow, quick, window)
    # The slow sink accepts nothing until the others have all frames; if they waited for it, this would fail.
    for index in range(40):
        together.write(frame(index))
        wait_until(lambda index=index: len(quick.frames) == index + 1)
    assert slow.frames == []
    gate.set()
    together.finish()
    assert [each.index for each in quick.frames] == list(range(40)) == [f.index for f in window.frames]
    assert window.threads == {threading.get_ident()} != quick.threads
    # Frames that the slow sink missed are counted; those that it got are in order and include the newest.
    indices = [each.index for each in slow.frames]
    assert indices == sorted(set(indices)) and indices[-1] == 39
    assert len(indices) + health.snapshot().dropped["sink"] == 40
    assert slow.calls == quick.calls == window.calls == ["start", "finish"]


@pytest.mark.parametrize("kind", [Taker, Window])
def test_a_sink_that_dies_ends_neither_the_run_nor_the_others(kind: type[Taker]) -> None:
    dying, other = kind("dying", fail_at=3), Taker("other")
    together, health, said = live(dying, other)
    for index in range(20):
        together.write(frame(index))
        wait_until(lambda index=index: len(other.frames) == index + 1)
    assert together.wants_more
    together.finish()
    assert len(other.frames) == 20 and other.calls == ["start", "finish"]
    assert dying.calls == ["start", "abort"]
    assert said == ["dying: pipe closed; still running: other"]
    assert health.snapshot().events["sink_fault"] == 1
    assert [str(error) for error in together.failed] == ["dying: pipe closed"]


def test_the_last_sink_that_dies_ends_the_run_with_its_error() -> None:
    together, _, said = live(Taker("a", fail_at=1), Taker("b", fail_at=2))
    with pytest.raises(UserError, match="pipe closed"):
        for index in range(1000):
            together.write(frame(index))
            time.sleep(0.005)
    together.abort()
    assert len(said) == 1


def test_a_closed_window_leaves_the_recording_running() -> None:
    window, other = Window("window", close_at=2), Taker("other")
    together, _, said = live(window, other)
    for index in range(10):
        together.write(frame(index))
        wait_until(lambda index=index: len(other.frames) == index + 1)
    assert together.wants_more and len(window.frames) == 2 and window.calls == ["start", "finish"]
    assert said == ["window was closed; still running: other"]
    together.finish()


def test_the_run_ends_when_nobody_wants_more() -> None:
    together, _, _ = live(Window("window", close_at=2))
    together.write(frame(0))
    assert together.wants_more
    together.write(frame(1))
    assert not together.wants_more


def test_a_sink_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(several, "FINISH", 0.2)
    gate = threading.Event()
    hanging, other = Taker("hanging", gate=gate), Taker("other")
    together, _, said = live(hanging, other)
    together.write(frame(0))
    wait_until(lambda: hanging.threads)
    # It still hangs when this returns.
    together.finish()
    assert hanging.frames == [] and not gate.is_set()
    assert other.calls == ["start", "finish"]
    assert said == ["hanging: did not finish within 0.2 s and was abandoned"]
    gate.set()


def test_a_sink_that_was_never_started_is_released() -> None:
    sinks = [Taker("taker"), Window("window")]
    SeveralSinks(sinks, live=True, health=Health("cam"), say=print).abort()
    assert [sink.calls for sink in sinks] == [["abort"], ["abort"]]


def test_only_those_that_ask_get_the_input() -> None:
    plain, comparing = Taker("plain"), Taker("comparing")
    comparing.wants_before = True
    together, _, _ = live(plain, comparing)
    assert together.wants_before
    together.write(frame(1), frame(2))
    together.finish()
    assert plain.befores == [None] and comparing.befores[0] is not None


def test_a_frame_that_the_engine_failed_on_says_so_in_its_pixels() -> None:
    taker = Taker("taker")
    together, _, _ = live(taker)
    together.write(frame(90, fault="out of memory"))
    together.finish()
    pixels = taker.frames[0].pixels
    assert pixels.min() < 40 and pixels.max() > 150 and pixels[0, 0, 0] == 90


def test_of_a_file_every_sink_gets_every_frame_and_the_sound(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", count=40, sound="aac")
    slow = Taker("slow", seconds=0.002)
    with open_source(str(source), print) as frames:
        recorders = [
            VideoSink(str(tmp_path / name), frames.info, print, overwrite=False)
            for name in ("a.mp4", "b.mkv")
        ]
        together = SeveralSinks([*recorders, slow], live=False, health=frames.health, say=print)
        Pipeline(frames, FakeEngine(), together).run()
    assert [each.index for each in slow.frames] == list(range(40))
    before = read_clip(source)
    for name in ("a.mp4", "b.mkv"):
        after = read_clip(tmp_path / name)
        assert [number_of(pixels) for pixels in after.frames] == [i % 14 for i in range(40)]
        assert after.sound == before.sound


@pytest.mark.parametrize("name", ["out.mp4", "out.png"])
def test_a_file_that_another_program_made_meanwhile_is_left_alone(tmp_path: Path, name: str) -> None:
    source = make_clip(tmp_path / "in.mp4", count=1)
    with open_source(str(source), print) as frames:
        sink = open_sink(str(tmp_path / name), frames.info, print, window=False, overwrite=False, limit=1)

        class Meanwhile(Taker):
            def write(self, frame: Frame, before: Frame | None = None) -> None:
                (tmp_path / name).write_bytes(b"precious")

        together = SeveralSinks([sink, Meanwhile("x")], live=False, health=frames.health, say=print)
        with pytest.raises(
            UserError, match="created by another program meanwhile; the output is kept as"
        ) as error:
            Pipeline(frames, FakeEngine(), together).run()
    assert (tmp_path / name).read_bytes() == b"precious"
    assert Path(str(error.value).rpartition(" ")[2]).stat().st_size > 0


def test_of_a_file_the_first_error_ends_all(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", count=40)
    with open_source(str(source), print) as frames:
        recorder = VideoSink(str(tmp_path / "out.mp4"), frames.info, print, overwrite=False)
        dying = Taker("dying", fail_at=5)
        together = SeveralSinks([recorder, dying], live=False, health=frames.health, say=print)
        with pytest.raises(UserError, match="pipe closed"):
            Pipeline(frames, FakeEngine(), together).run()
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
    assert dying.calls == ["start", "abort"]


@pytest.mark.parametrize("codec", ["libopus", "aac"])
def test_a_copy_of_sound_has_all_that_the_packet_has(tmp_path: Path, codec: str) -> None:
    """Times, and in the side data how many samples at both ends are the encoder's own and not to be heard."""
    with av.open(str(make_clip(tmp_path / "in.mkv", count=20, sound=codec))) as container:
        packets = [packet for packet in container.demux(container.streams.audio[0]) if packet.size]
        assert all(
            what_it_has(copy) == what_it_has(packet)
            for copy, packet in zip(copied(packets), packets, strict=True)
        )
        assert any(what_it_has(packet)[-1] for packet in packets)


def what_it_has(packet: SoundPacket) -> tuple[object, ...]:
    side_data = [(data.data_type, bytes(data)) for data in packet.iter_sidedata()]
    times = packet.pts, packet.dts, packet.duration, packet.time_base
    return bytes(packet), times, packet.is_keyframe, packet.stream, side_data


def test_what_is_written_is_finished_before_a_picture_that_stays_on_the_screen() -> None:
    """The window waits for a key: a file must not be unfinished for so long."""
    first, last = Taker("first"), Taker("last")
    window = Shown("window", first, last)
    together = SeveralSinks([first, window, last], live=False, health=Health("a"), say=print)
    together.start("bgr")
    together.write(frame(0))
    together.finish()
    assert window.before_its_end.count("finish") == 2
