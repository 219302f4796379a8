"""Views, dry skipping and shared streams must not hide the engine behind them."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import runtime.cli as cli
import runtime.run.input as run_input
import runtime.run.model as model
from granet.app.console import run_app
from runtime.engines.base import Engine, ForwardingEngine
from runtime.live.dry_skipper import DrySkipper
from runtime.live.frame_steps import FrameSteps
from runtime.live.guard import EngineGuard
from runtime.live.shared_engine import SharedEngine
from runtime.media.frame import Colour, Frame, Pixels
from runtime.sources.base import Source, StreamInfo
from runtime.telemetry.health import Health
from tests.media import make_clip, read_clip
from tests.runtime.fakes import FakeEngine
from tests.runtime.handmade import inverting_file

GREY = 200
"""Level of the frames. A network that inverts removes 145 levels: heavy rain, an all-orange view."""


class GreyCamera(Source):
    """Forty live frames of one grey."""

    def __init__(self, health: Health) -> None:
        self.info = StreamInfo(
            "grey", "camera", live=True, rate=Fraction(30), time_base=Fraction(1, 90_000), size=(48, 64)
        )
        self.health = health

    def frames(self, colour: Colour) -> Iterator[Frame]:
        self.health.enter("live")
        for index in range(40):
            threading.Event().wait(0.01)
            yield Frame(np.full((48, 64, 3), GREY, np.uint8), index, 3000 * index, Fraction(1, 90_000))


class SeveralAtOnce(FakeEngine):
    """Acts like an engine on a GPU: takes several frames at once, and checks that it gets them."""

    def __init__(self, frames: int) -> None:
        super().__init__(invert=True)
        self.concurrency = frames
        self._together = threading.Barrier(frames)
        self.met = False

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        if not self.met:
            # Times out unless that many threads arrive at once.
            self._together.wait(30)
            self.met = True
        return super()._infer(batch, want_mask)


class Masking(FakeEngine):
    """Returns half of the frame as its mask; takes three frames at once."""

    concurrency = 3

    def __init__(self) -> None:
        super().__init__(invert=True)
        self.info = replace(self.info, has_mask=True)
        self.closed = False

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        outputs = super()._infer(batch, want_mask)
        return (*outputs, batch // 2) if want_mask else outputs

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("kind", ["forwarding", "guard", "stream"])
def test_every_forwarding_engine_forwards_the_whole_contract(kind: str) -> None:
    engine = Masking()
    shared = SharedEngine(engine)
    before = {
        "forwarding": lambda: ForwardingEngine(engine),
        "guard": lambda: EngineGuard(engine, Health("cam"), lambda line: None),
        "stream": shared.stream,
    }[kind]()
    assert isinstance(before, Engine)
    # Each of several streams has one frame in a batch.
    assert (before.info, before.concurrency) == (engine.info, 1 if kind == "stream" else 3)
    assert before.plan(41, 57) == engine.plan(41, 57)
    frames = np.random.default_rng(0).integers(0, 200, (2, 41, 57, 3), np.uint8)
    np.testing.assert_array_equal(before.run(frames), 255 - frames)
    result, mask = before.run(frames, want_mask=True)
    np.testing.assert_array_equal(result, 255 - frames)
    np.testing.assert_array_equal(mask, frames // 2)
    before.close()
    # A stream that closes leaves the engine open for the others.
    assert engine.closed == (kind != "stream")
    shared.close()
    assert engine.closed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a grey clip and a camera with a grey picture."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_input, "device_path", lambda camera: None)
    monkeypatch.setattr(
        run_input, "open_camera", lambda camera, options, patience, end, health: GreyCamera(health)
    )
    make_clip(tmp_path / "grey.mp4", frames=[np.full((48, 64, 3), GREY, np.uint8)] * 80)
    return tmp_path


def use(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "open_engine", lambda *arguments, **options: engine)


def test_heavy_rain_in_the_mask_view_is_not_a_failing_engine(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    use(FakeEngine(invert=True), monkeypatch)
    arguments = ["--camera", "0", "--show", "mask", "--output", "mask.mkv", "--model", "fake.onnx"]
    assert run_app(cli.app, arguments) == 0
    assert "failed" not in capfd.readouterr().err
    blue, _, red = read_clip(folder / "mask.mkv").frames[-1].mean((0, 1))
    assert blue > 220 and red < 90


def test_a_configuration_shows_the_mask_of_a_model_that_has_one(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # In the handmade graph the mask is the input and the result 255 - input. Input minus result would paint
    # everything above 127; of the mask only what exceeds its median is painted, which is the streak.
    inverting_file(folder / "stages.onnx", outputs=["derained", "mask", "coarse"])
    frame = np.full((48, 64, 3), 150, np.uint8)
    frame[:, 40:56] = 250
    make_clip(folder / "streak.mp4", frames=[frame] * 6)
    (folder / "streams.toml").write_text(
        'model = "stages.onnx"\ndevice = "cpu"\nbackend = "onnxruntime"\n'
        '[[stream]]\nname = "a"\ninput = "streak.mp4"\noutput = "mask.mkv"\nshow = "mask"\n'
    )
    assert run_app(cli.app, ["--config", "streams.toml"]) == 0
    err = capfd.readouterr().err
    assert "coarse stage's rain mask" in err and "no rain mask" not in err
    shown = read_clip(folder / "mask.mkv").frames[-1].astype(int)
    assert shown[24, 48, 0] > 220 and shown[24, 48, 2] < 90
    assert np.ptp(shown[24, 8]) < 12


def test_a_configuration_shows_the_input_beside_the_result(folder: Path) -> None:
    inverting_file(folder / "inverting.onnx")
    make_clip(folder / "gray.mp4", frames=[np.full((48, 64, 3), 60, np.uint8)] * 3)
    (folder / "streams.toml").write_text(
        'model = "inverting.onnx"\ndevice = "cpu"\nbackend = "onnxruntime"\n'
        '[[stream]]\nname = "a"\ninput = "gray.mp4"\noutput = "both.mkv"\nshow = "compare"\n'
    )
    assert run_app(cli.app, ["--config", "streams.toml"]) == 0
    both = read_clip(folder / "both.mkv").frames[-1].astype(int)
    assert both.shape == (48, 64 + 4 + 64, 3)  # with a line between them
    assert abs(both[40, 8] - 60).max() < 12 and abs(both[40, 124] - 195).max() < 12


@pytest.mark.parametrize("option", [[], ["--skip-dry"], ["--show", "mask"], ["--skip-dry", "--show", "mask"]])
@pytest.mark.parametrize("frames", [3, 8])
def test_a_file_keeps_all_the_frames_in_flight_that_the_engine_takes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, option: list[str], frames: int
) -> None:
    engine = SeveralAtOnce(frames)
    use(engine, monkeypatch)
    arguments = ["--input", "grey.mp4", "--output", "out.mkv", "--model", "fake.onnx", *option]
    assert run_app(cli.app, arguments) == 0
    assert engine.met and len(read_clip(folder / "out.mkv").frames) == 80


def test_dry_frames_do_not_report_that_a_failing_engine_recovered() -> None:
    said, health = list[str](), Health("cam")
    steps = FrameSteps(
        EngineGuard(FailsAfterTheFirst(), health, said.append),
        DrySkipper(health, said.append),
        None,
        said.append,
    )
    for index in range(80):
        frame = Frame(np.full((48, 64, 3), GREY, np.uint8), index)
        skipped = steps.skips(frame)
        assert bool(steps.apply(frame, skipped).fault) == (index > 0 and not skipped)
    assert health.snapshot().frames_dry > 10 and health.snapshot().engine_failing
    assert [line.split()[0] for line in said] == ["the", "dry:"] and "failed" in said[0]


class FailsAfterTheFirst(FakeEngine):
    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        if self.calls:
            raise RuntimeError("device lost")
        return super()._infer(batch, want_mask)


def streams(folder: Path, settings: str) -> list[Pixels]:
    """Frames of the stream with ``settings``, next to one without; both play the grey clip."""
    (folder / "streams.toml").write_text(
        'model = "fake.onnx"\n'
        '[[stream]]\nname = "plain"\ninput = "grey.mp4"\noutput = "plain.mkv"\n'
        f'[[stream]]\nname = "set"\ninput = "grey.mp4"\noutput = "set.mkv"\n{settings}\n'
    )
    assert run_app(cli.app, ["--config", "streams.toml"]) == 0
    plain = read_clip(folder / "plain.mkv").frames
    assert all(abs(float(frame.mean()) - (255 - GREY)) < 6 for frame in plain) and len(plain) == 80
    return list(read_clip(folder / "set.mkv").frames)


def test_skip_dry_in_a_configuration_passes_dry_frames_of_that_stream(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(FakeEngine(invert=True), monkeypatch)
    levels = [float(frame.mean()) for frame in streams(folder, "skip_dry = true")]
    assert levels[0] < 60 and levels[-1] > 195


def test_the_mask_view_in_a_configuration_applies_to_one_stream(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(FakeEngine(invert=True), monkeypatch)
    for frame in streams(folder, 'show = "mask"'):
        blue, _, red = frame.mean((0, 1))
        assert blue > 220 and red < 90
