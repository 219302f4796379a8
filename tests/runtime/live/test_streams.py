"""Several streams through one engine."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest

import runtime.cli as cli
import runtime.run.model as model
from granet.app.console import run_app
from granet.errors import UserError
from runtime.engines.base import Derained
from runtime.live import shared_engine
from runtime.live.shared_engine import SharedEngine
from runtime.live.streams import Streams
from runtime.live.streams_config import StreamConfig, StreamsConfig
from runtime.media.frame import Colour, Frame, Pixels
from runtime.sources.base import Source, StreamInfo
from runtime.telemetry.health import Health
from tests.media import make_clip, number_of, read_clip
from tests.patience import wait_for
from tests.runtime.fakes import FakeEngine


class Picky(FakeEngine):
    """Fails on frames that begin with 13."""

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        if (batch[:, 0, 0, 0] == 13).any():
            raise UserError("unlucky")
        return super()._infer(batch, want_mask)


def submit_all(shared: SharedEngine, frames: list[Pixels]) -> dict[int, Pixels | Exception]:
    results: dict[int, Pixels | Exception] = {}

    def submit(number: int) -> None:
        try:
            results[number] = shared.stream().run(frames[number])
        except UserError as error:
            results[number] = error

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(len(frames))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Gated(FakeEngine):
    """Begins with its first batch once as many frames wait as there are others."""

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        if not self.calls:
            wait_for(lambda: len(batch) + self.shared.waiting == 5)
        return super()._infer(batch, want_mask)

    shared: SharedEngine


def test_what_waits_together_is_one_batch_and_everyone_gets_their_own() -> None:
    engine = Gated(invert=True)
    engine.shared = shared = SharedEngine(engine)
    frames = [np.full((1, 20, 24, 3), number, np.uint8) for number in range(5)]
    results = submit_all(shared, frames)
    shared.close()
    for number in range(5):
        assert np.array_equal(results[number], 255 - frames[number])
    # The first went alone, or with some; those that came meanwhile went together.
    assert sum(size * count for size, count in shared.batches.items()) == 5
    assert sum(shared.batches.values()) <= 2


def test_streams_that_keep_coming_are_one_batch_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than any machine needs to hand a result on.
    monkeypatch.setattr(shared_engine, "GATHER", 1e6)
    monkeypatch.setattr(shared_engine, "MOST_GATHER", 20.0)
    shared = SharedEngine(FakeEngine(invert=True, seconds=0.005))
    done = [0, 0]

    def keep_coming(number: int) -> None:
        stream, frame = shared.stream(), np.full((1, 20, 24, 3), number, np.uint8)
        with suppress(UserError):  # the engine is closed
            while True:
                assert np.array_equal(stream.run(frame), 255 - frame)
                done[number] += 1

    threads = [threading.Thread(target=keep_coming, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    wait_for(lambda: min(done) >= 20)
    shared.close()
    for thread in threads:
        thread.join()
    # The first of them may have come before the other.
    assert set(shared.batches) <= {1, 2} and shared.batches[1] <= 1 and shared.batches[2] >= 19
    assert f"{shared.batches[2]} of 2" in str(shared)


def test_a_stream_that_stays_away_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_engine, "GATHER", 1e6)
    monkeypatch.setattr(shared_engine, "MOST_GATHER", 1e6)
    # Read before, at the start and at the end of each batch. The time in which the stream of the first batch
    # may come back is over before the second; from then on it would be waited for until the clock moves.
    times = chain([0.0, 1.0, 2.0, 1e9, 1e9 + 1, 1e9 + 2], repeat(1e9 + 2))
    shared = SharedEngine(FakeEngine(), clock=lambda: next(times))
    frame = np.full((1, 20, 24, 3), 5, np.uint8)
    stays, leaves = shared.stream(), shared.stream()
    leaves.run(frame)
    thread = threading.Thread(target=lambda: [stays.run(frame) for _ in range(5)], daemon=True)
    thread.start()
    wait_for(lambda: not thread.is_alive(), "the stream that stays")
    shared.close()
    assert shared.batches == {1: 6}


def test_streams_with_and_without_the_mask_share_a_batch() -> None:
    class Masking(Gated):
        def derain(self, frames: Pixels, want_mask: bool) -> Derained:
            wanted.append(want_mask)
            result = super().derain(frames, False).frames
            return Derained(result, frames // 2 if want_mask else None)

    wanted: list[bool] = []
    engine = Masking(invert=True)
    engine.shared = shared = SharedEngine(engine)
    frames = [np.full((1, 20, 24, 3), 10 * number, np.uint8) for number in range(5)]
    with ThreadPoolExecutor(5) as pool:
        runs = [
            pool.submit(shared.stream().derain, frame, number % 2 == 1) for number, frame in enumerate(frames)
        ]
        results = [run.result() for run in runs]
    shared.close()
    for number, (result, frame) in enumerate(zip(results, frames, strict=True)):
        assert np.array_equal(result.frames, 255 - frame)
        assert (result.mask is not None) == (number % 2 == 1)
        assert result.mask is None or np.array_equal(result.mask, frame // 2)
    assert len(wanted) <= 2 and wanted[-1]


def test_one_streams_bad_frame_and_other_sizes_do_not_spoil_a_batch() -> None:
    shared = SharedEngine(Picky(invert=True, seconds=0.05))
    frames = [np.full((1, 20, 24 + 8 * (number % 2), 3), number, np.uint8) for number in range(10, 16)]
    results = submit_all(shared, frames)
    shared.close()
    for number in range(6):
        if number == 3:
            assert isinstance(results[3], UserError)
        else:
            assert np.array_equal(results[number], 255 - frames[number])
    with pytest.raises(UserError, match="closed"):
        shared.stream().run(frames[0])


class Stream(Source):
    """A live stream of 30 frames; with ``gate``, all but the first wait for it."""

    def __init__(self, health: Health, gate: Callable[[], bool] | None = None, fail: bool = False) -> None:
        base = Fraction(1, 90_000)
        self.info = StreamInfo("fake", "camera", live=True, rate=Fraction(30), time_base=base, size=(48, 64))
        self.health = health
        self._gate, self._fail = gate, fail

    def frames(self, colour: Colour) -> Iterator[Frame]:
        self.health.enter("live")
        for index in range(30):
            if index and self._gate is not None:
                wait_for(self._gate)
            time.sleep(0.01)
            if self._fail and index == 3:
                raise UserError("fake: broke")
            yield Frame(np.full((48, 64, 3), 16 + index, np.uint8), index, 3000 * index, Fraction(1, 90_000))


def test_a_slow_a_dead_and_a_broken_stream_hold_up_none(tmp_path: Path) -> None:
    said: list[str] = []
    names = ("good", "slow", "dead", "broken")
    config = StreamsConfig(
        tuple(StreamConfig(name, input="x", output=(str(tmp_path / f"{name}.mkv"),)) for name in names)
    )
    good_has_ended = threading.Event()
    states: list[str] = []

    def open_stream(
        stream: StreamConfig, patience: object, cancelled: threading.Event, health: Health
    ) -> Source:
        if stream.name == "dead":
            assert cancelled.wait(30)
            raise UserError("cancelled while waiting for the first frame")
        # The good one has frames left while the slow one, whose first frame is written, sends none.
        gates = {"slow": good_has_ended.is_set, "good": lambda: streams.healths[1].snapshot().frames_out == 1}
        return Stream(health, gates.get(stream.name), stream.name == "broken")

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("good") and "frames in" in line:
            states.extend(health.snapshot().state for health in streams.healths)
            streams.stop()
            good_has_ended.set()

    shared = SharedEngine(FakeEngine())
    streams = Streams(config, shared, open_stream, say)
    # Before a camera responds, the page says so.
    assert [(health.name, health.snapshot().state) for health in streams.healths] == [
        (name, "connecting") for name in names
    ]
    streams.run()
    shared.close()
    # When the healthy one ended, the slow one was halfway and the dead one at its start.
    assert states[:3] == ["ended", "live", "connecting"]
    assert any(re.match(r"slow: \d frames? in", line) for line in said)
    assert list(streams.failed) == ["broken"] and any(line == "broken: fake: broke" for line in said)
    # A live stream may drop frames, but neither its first nor its last.
    good = read_clip(tmp_path / "good.mkv").frames
    assert abs(int(good[0].mean()) - 16) <= 3 and abs(int(good[-1].mean()) - 45) <= 3
    assert len(read_clip(tmp_path / "slow.mkv").frames) >= 1
    assert [health.snapshot().state for health in streams.healths] == ["ended"] * 4


def test_the_command_runs_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model, "open_engine", lambda *arguments, **options: FakeEngine(invert=True))
    for name in ("a", "b"):
        make_clip(tmp_path / f"{name}.mp4", count=20)
    (tmp_path / "streams.toml").write_text(
        """
        metrics = ":0"
        model = "fake.onnx"
        [[stream]]
        name = "front"
        input = "a.mp4"
        output = ["a.mkv", "pictures/"]
        serve = ":0"
        [[stream]]
        name = "back"
        input = "b.mp4"
        output = "b.mkv"
        [[stream]]
        name = "gone"
        input = "missing.mp4"
        output = "c.mkv"
        """
    )
    assert run_app(cli.app, ["--config", "streams.toml"]) == 1
    err = capfd.readouterr().err
    assert "gone: missing.mp4: no such file" in err and err.splitlines()[-1].startswith(
        "error: 1 of 3 streams"
    )
    assert "3 streams, with fake" in err and "front: 20 frames in" in err
    for name in ("a", "b"):
        numbers = [number_of(frame) for frame in read_clip(tmp_path / f"{name}.mkv").frames]
        assert numbers == [14 - i % 14 for i in range(20)]
    assert run_app(cli.app, ["--config", "streams.toml", "--input", "a.mp4"]) == 2


def test_a_stream_of_the_configuration_takes_its_part_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model, "open_engine", lambda *arguments, **options: FakeEngine())
    make_clip(tmp_path / "a.mp4", count=40, rate=Fraction(25), time_base=Fraction(1, 25))
    (tmp_path / "streams.toml").write_text(
        'model = "fake.onnx"\n[[stream]]\nname = "a"\ninput = "a.mp4"\noutput = "a.mkv"\n'
        'start = "0.4"\nduration = "0.8"\nevery = 2\n'
    )
    assert run_app(cli.app, ["--config", "streams.toml"]) == 0
    of_input = [number_of(frame) for frame in read_clip(tmp_path / "a.mp4").frames]
    assert [number_of(frame) for frame in read_clip(tmp_path / "a.mkv").frames] == of_input[10:30:2]


def test_a_configuration_names_a_packaged_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[object, ...]] = []

    def open_engine(*arguments: object, **_: object) -> FakeEngine:
        opened.append(arguments)
        return FakeEngine()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model, "open_engine", open_engine)
    make_clip(tmp_path / "a.mp4", count=3)
    (tmp_path / "streams.toml").write_text(
        'model = "lite"\ndevice = "cpu"\nbackend = "onnxruntime"\n'
        '[[stream]]\nname = "a"\ninput = "a.mp4"\noutput = "a.mkv"\n'
    )
    assert run_app(cli.app, ["--config", "streams.toml"]) == 0
    assert opened == [(Path(cli.__file__).parent / "models" / "lite.onnx", "cpu", "onnxruntime")]


def test_an_unknown_packaged_model_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "streams.toml").write_text(
        'model = "light"\n[[stream]]\nname = "a"\ninput = "a.mp4"\noutput = "a.mkv"\n'
    )
    assert run_app(cli.app, ["--config", "streams.toml"]) == 2
    assert capsys.readouterr().err.startswith("error: streams.toml: model light: give lite or base ")
