import errno
from pathlib import Path

import cv2
import numpy as np
import pytest

from granet.app.console import UsageError
from granet.errors import UserError
from runtime.live.pipeline import Pipeline
from runtime.sinks.open import NullSink, open_sink
from runtime.sinks.pictures.directory import DirectorySink
from runtime.sinks.window import WindowSink
from runtime.sources.base import StreamInfo
from runtime.sources.open import open_source
from tests.media import make_clip, number_of, numbered, with_exif_orientation, write_picture
from tests.runtime.fakes import FakeEngine

RNG = np.random.default_rng(0)


def run(
    source: Path, target: Path | str, *, invert: bool = False, colour: str = "bgr", **options: bool
) -> list[str]:
    said: list[str] = []
    overwrite, compare = options.get("overwrite", False), options.get("compare", False)
    with open_source(str(source), said.append, strict=options.get("strict", False)) as frames:
        sink = open_sink(str(target), frames.info, said.append, window=False, overwrite=overwrite, limit=None)
        Pipeline(frames, FakeEngine(colour, invert=invert), sink, compare=compare).run()  # type: ignore[arg-type]
    return said


def files_in(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
def test_a_directory_keeps_names_formats_and_pixels(tmp_path: Path, colour: str) -> None:
    pixels = RNG.integers(0, 256, (20, 30, 3), np.uint8)
    for name in ("1.png", "2.bmp", "3.tiff", "4.webp", "10.ppm"):
        write_picture(tmp_path / "in" / name, pixels)
    run(tmp_path / "in", tmp_path / "out", invert=True, colour=colour)
    assert files_in(tmp_path / "out") == files_in(tmp_path / "in")
    # WebP is written losslessly, because the input may have been lossless.
    for name in ("1.png", "2.bmp", "3.tiff", "4.webp", "10.ppm"):
        assert np.array_equal(cv2.imread(str(tmp_path / "out" / name)), 255 - pixels)


def test_jpeg_is_written_finely(tmp_path: Path) -> None:
    smooth = cv2.resize(RNG.integers(0, 256, (6, 8, 3), np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
    source = tmp_path / "in.jpg"
    source.write_bytes(cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes())
    run(source, tmp_path / "out.jpg")
    before, after = cv2.imread(str(source)), cv2.imread(str(tmp_path / "out.jpg"))
    assert cv2.PSNR(before, after) > 42


def test_jpeg_keeps_the_colours_of_fine_lines(tmp_path: Path) -> None:
    """With 4:2:0 subsampling, adjacent red and blue columns would both be violet."""
    lines = np.zeros((48, 64, 3), np.uint8)
    lines[:, ::2, 2], lines[:, 1::2, 0] = 200, 200
    write_picture(tmp_path / "in.png", lines)
    run(tmp_path / "in.png", tmp_path / "out.jpg")
    after = cv2.imread(str(tmp_path / "out.jpg")).astype(int)
    assert np.abs(after - lines).mean() < 10


def test_a_colour_picture_is_grey_in_a_format_of_one_channel(tmp_path: Path) -> None:
    write_picture(tmp_path / "in.png", np.full((20, 30, 3), (255, 0, 0), np.uint8))
    run(tmp_path / "in.png", tmp_path / "out.pgm")
    after = cv2.imread(str(tmp_path / "out.pgm"), cv2.IMREAD_UNCHANGED)
    assert after.shape == (20, 30) and (after == 29).all()  # BT.601: 0.114 of blue


def test_gray_stays_gray_and_transparency_stays(tmp_path: Path) -> None:
    gray = RNG.integers(0, 256, (20, 30), np.uint8)
    clear = RNG.integers(0, 256, (20, 30, 4), np.uint8)
    write_picture(tmp_path / "in" / "gray.png", gray)
    write_picture(tmp_path / "in" / "clear.png", clear)
    run(tmp_path / "in", tmp_path / "out", invert=True)
    after = cv2.imread(str(tmp_path / "out" / "gray.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(after, 255 - gray)
    after = cv2.imread(str(tmp_path / "out" / "clear.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(after[..., 3], clear[..., 3])
    assert np.array_equal(after[..., :3], 255 - clear[..., :3])


def test_a_comparison_of_pictures(tmp_path: Path) -> None:
    clear = RNG.integers(0, 256, (20, 30, 4), np.uint8)
    write_picture(tmp_path / "in.png", clear)
    run(tmp_path / "in.png", tmp_path / "out.png", invert=True, compare=True)
    after = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert after.shape == (20, 60 + 4, 4)
    assert np.array_equal(after[:, :30], clear)
    assert np.array_equal(after[:, 34:, :3], 255 - clear[..., :3])
    assert np.array_equal(after[:, 34:, 3], clear[..., 3])
    assert (after[:, 30:34] == 255).all()


def test_transparency_that_a_format_cannot_store_is_announced(tmp_path: Path) -> None:
    write_picture(tmp_path / "in.png", RNG.integers(0, 256, (20, 30, 4), np.uint8))
    assert any("transparency" in line for line in run(tmp_path / "in.png", tmp_path / "out.jpg"))


def test_a_turned_photograph_is_written_upright(tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", numbered(3, 32, 48))[1].tobytes()
    (tmp_path / "in.jpg").write_bytes(with_exif_orientation(jpeg, 6))
    run(tmp_path / "in.jpg", tmp_path / "out.jpg")
    after = cv2.imread(str(tmp_path / "out.jpg"))
    assert after.shape == (48, 32, 3) and after[4, 28].min() > 200


def test_a_video_becomes_numbered_pictures(tmp_path: Path) -> None:
    run(make_clip(tmp_path / "in.mp4", count=4), tmp_path / "out")
    assert files_in(tmp_path / "out") == ["000001.png", "000002.png", "000003.png", "000004.png"]
    assert number_of(cv2.imread(str(tmp_path / "out" / "000003.png"))) == 2


def test_nothing_is_left_when_a_picture_is_broken_and_all_are_wanted(tmp_path: Path) -> None:
    for i in range(5):
        write_picture(tmp_path / "in" / f"{i}.png", numbered(i))
    (tmp_path / "in" / "3.png").write_bytes(b"broken")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "0.png").write_bytes(b"precious")
    (tmp_path / "empty").mkdir()
    for target in ("new", "kept", "empty"):
        with pytest.raises(UserError, match=r"3\.png"):
            run(tmp_path / "in", tmp_path / target, overwrite=True, strict=True)
    assert not (tmp_path / "new").exists() and list((tmp_path / "empty").iterdir()) == []
    assert files_in(tmp_path / "kept") == ["0.png"]
    assert (tmp_path / "kept" / "0.png").read_bytes() == b"precious"


def test_a_picture_that_is_too_small_is_named(tmp_path: Path) -> None:
    from granet.size_rule import SizeRule
    from runtime.engines.fitting import FrameFit

    write_picture(tmp_path / "in" / "dot.png", np.zeros((1, 1, 3), np.uint8))
    engine = FakeEngine(fit=FrameFit(SizeRule()))
    with (
        open_source(str(tmp_path / "in"), print) as frames,
        pytest.raises(UserError, match=r"dot\.png: .*1x1"),
    ):
        sink = open_sink(str(tmp_path / "out"), frames.info, print, window=False, overwrite=False, limit=None)
        Pipeline(frames, engine, sink).run()
    assert not (tmp_path / "out").exists()


def test_existing_pictures_are_not_replaced_unasked(tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "a.png", numbered(1))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"precious")
    with pytest.raises(UserError, match=r"a\.png: exists; add --overwrite"):
        run(tmp_path / "in", tmp_path / "out")
    run(tmp_path / "in", tmp_path / "out", overwrite=True)
    assert number_of(cv2.imread(str(tmp_path / "out" / "a.png"))) == 1


def test_the_input_is_never_replaced(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "in" / "a.png", numbered(1))
    data = path.read_bytes()
    for target in (tmp_path / "in", path, tmp_path / "in" / ".." / "in"):
        with pytest.raises(UserError, match="is the input"):
            run(tmp_path / "in", target, overwrite=True)
    assert path.read_bytes() == data


def test_the_parent_of_a_directory_must_exist(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "in" / "a.png", numbered(1))
    with pytest.raises(UserError, match="no directory"):
        run(path, f"{tmp_path}/no/out/")
    with pytest.raises(UserError, match="no directory"):
        run(path, tmp_path / "no" / "a.png")


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(3):
        write_picture(tmp_path / "in" / f"{i}.png", numbered(i))
    written = []

    def full(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        with path.open("wb") as file:
            return file.write(data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"2\.png: cannot be written: No space left on device"):
        run(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


INFO = StreamInfo("x.mp4", "video", rate=None, size=(48, 64))


def sink_for(
    text: str | None, info: StreamInfo = INFO, *, window: bool = True, limit: int | None = None
) -> object:
    return open_sink(text, info, print, window=window, overwrite=False, limit=limit)


@pytest.mark.parametrize("text", ["a.png", "a.gif", "ftp://host/a", "a.xyz", "http://host/a.mp4"])
def test_destinations_that_make_no_sense_are_wrong_usage(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        sink_for(text)
    assert text in str(error.value) and "\n" not in str(error.value)


def test_one_frame_of_a_video_can_be_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sink_for("a.png", limit=1)
    assert isinstance(sink_for("out"), DirectorySink)
    assert isinstance(sink_for(None, window=False), NullSink)


def test_no_screen_is_one_line_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UserError, match="--output"):
        sink_for(None)
    # Qt ends a process whose DISPLAY does not exist.
    monkeypatch.setenv("DISPLAY", ":97")
    with pytest.raises(UserError, match="--no-window"):
        sink_for(None)


class FakeWindow:
    """Replaces OpenCV's windows; the user closes the window after some frames."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, keys: list[int], visible: int = 99) -> None:
        import runtime.sinks.window as window

        self.shown: list[np.ndarray] = []
        self.keys, self.visible = keys, visible
        monkeypatch.setattr(window, "_check_screen", lambda instead: None)
        for name in ("namedWindow", "resizeWindow", "destroyAllWindows"):
            monkeypatch.setattr(window.cv2, name, lambda *args: None)
        monkeypatch.setattr(window.cv2, "imshow", lambda title, image: self.shown.append(image.copy()))
        monkeypatch.setattr(window.cv2, "waitKey", lambda ms: self.keys.pop(0) if self.keys else -1)
        monkeypatch.setattr(
            window.cv2, "getWindowProperty", lambda *args: 1.0 if len(self.shown) < self.visible else 0.0
        )


def test_a_key_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window = FakeWindow(monkeypatch, keys=[])
    with open_source(str(make_clip(tmp_path / "a.mp4", count=30)), print) as source:
        sink = WindowSink(source.info)
        pipeline = Pipeline(
            source, FakeEngine("rgb"), sink, progress=lambda n, *_: window.keys.append(ord("q"))
        )
        summary = pipeline.run()
    assert 1 <= summary.frames_out <= 3
    # A frame that was not yet due when the key was pressed is not shown.
    assert len(window.shown) in (summary.frames_out - 1, summary.frames_out)
    assert number_of(window.shown[0]) == 0


def test_closing_the_window_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window = FakeWindow(monkeypatch, keys=[], visible=2)
    with open_source(str(make_clip(tmp_path / "a.mp4", count=30)), print) as source:
        summary = Pipeline(source, FakeEngine(), WindowSink(source.info), compare=True).run()
    assert summary.frames_out == 2
    assert window.shown[0].shape == (48, 64 * 2 + 4, 3)


def test_a_file_plays_no_faster_than_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window, now = FakeWindow(monkeypatch, keys=[]), [0.0]
    shown_at: list[float] = []

    def wait(milliseconds: int) -> int:
        now[0] += milliseconds / 1000
        return -1

    def show(title: str, image: np.ndarray) -> None:
        window.shown.append(image.copy())
        shown_at.append(now[0])

    monkeypatch.setattr("runtime.sinks.window.cv2.waitKey", wait)
    monkeypatch.setattr("runtime.sinks.window.cv2.imshow", show)
    with open_source(str(make_clip(tmp_path / "a.mp4", count=16)), print) as source:
        sink = WindowSink(source.info, clock=lambda: now[0])
        summary = Pipeline(source, FakeEngine(), sink).run()
    assert summary.frames_out == 16
    # 29.97 frames per second; waitKey takes whole milliseconds, and waits one after each frame.
    assert np.abs(np.array(shown_at) - np.arange(16) / 29.97).max() < 0.003


def test_a_picture_stays_until_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_picture(tmp_path / "a.png", numbered(1))
    window = FakeWindow(monkeypatch, keys=[-1, -1, -1, ord("x")])
    with open_source(str(tmp_path / "a.png"), print) as source:
        Pipeline(source, FakeEngine(), WindowSink(source.info)).run()
    assert window.keys == []
