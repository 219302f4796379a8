"""The accuracy of ``--skip-dry`` and the cost of its checks: a table for docs/performance.md.

    python -m benchmarks.skip_dry DATA

The folder has ``rain100l-test/{rainy,clean}``, ``rain-photos`` and ``clips``, as the project's data has.
``--smallest`` draws one of seconds instead.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.live.dry_skipper import DRY_BELOW, EVERY, WET_FROM, DryDetector
from runtime.media.frame import Pixels
from runtime.views.rain_strength import rain_strength

CLIPS = {"vtest.avi": 10.0, "car-detection.mp4": 12.5, "dashcam-dry.mp4": 30.0}
"""Dry videos, and their frames a second."""
HEAVINESS = (0.05, 0.1, 0.2, 0.4)
PICTURES = ("rain100l-test/rainy", "rain100l-test/clean", "rain-photos", "clips/real-rain-patio")
SMALLEST = (120, 160), 2 * EVERY
"""(height, width) of the frames, and the frames of a video, of what ``--smallest`` draws."""
KINDS = 3
"""Kinds of rain, drawn at random, for each clip and heaviness."""
RAINY_FRAMES = 40


def read(path: Path) -> Iterator[Pixels]:
    """The frames of a video, BGR."""
    capture = cv2.VideoCapture(str(path))
    while (answer := capture.read())[0]:
        yield np.asarray(answer[1], np.uint8)


def pictures(folder: Path) -> list[Pixels]:
    """The pictures of a folder, BGR."""
    read_in = (cv2.imread(str(path)) for path in sorted(folder.iterdir()))
    return [np.asarray(pixels, np.uint8) for pixels in read_in if pixels is not None]


def row(name: str, strengths: list[float]) -> None:
    """Prints how strong the rain is, and what single frames would be taken for."""
    values = np.array(strengths)
    rainy, dry = (values >= WET_FROM).mean(), (values < DRY_BELOW).mean()
    low, middle, high = np.percentile(values, [5, 50, 95])
    print(f"| {name} | {len(values)} | {low:.3f} | {middle:.3f} | {high:.3f} | {rainy:.0%} | {dry:.0%} |")


def skipped(frames: Iterator[Pixels]) -> tuple[int, int]:
    """Frames that the detector passes as dry, and all frames."""
    detector, answers = DryDetector(), list[bool]()
    answers.extend(detector.is_dry(frame) for frame in frames)
    return sum(answers), len(answers)


def draw(folder: Path) -> None:
    """Makes small data of the same layout: streets, in the rain where the name says so."""
    (height, width), count = SMALLEST
    for name in PICTURES:
        (folder / name).mkdir(parents=True)
        for number in range(2):
            picture = street(height, width, seed=number)[..., ::-1]
            if "clean" not in name:
                rain = sample_rain(np.random.default_rng(number), 0.4)
                picture = add_rain(picture, render_rain(rain, height, width))
            cv2.imwrite(str(folder / name / f"{number}.png"), picture)
    for name, rate in CLIPS.items():
        code = cv2.VideoWriter.fourcc(*("MJPG" if name.endswith(".avi") else "mp4v"))
        clip = cv2.VideoWriter(str(folder / "clips" / name), code, rate, (width, height))
        for index in range(count):
            clip.write(np.ascontiguousarray(street(height, width, time=index / rate)[..., ::-1]))
        clip.release()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--smallest", action="store_true", help="end within seconds: only a trial run")
    options = parser.parse_args()
    if (options.data is None) is not options.smallest:
        parser.error("give DATA, or --smallest")
    with tempfile.TemporaryDirectory() as folder:
        if options.smallest:
            draw(Path(folder))
        measure(options.data or Path(folder))


def measure(data: Path) -> None:
    """Prints the tables."""
    cv2.setNumThreads(1)
    print("| frames | n | strength 5% | 50% | 95% | rain | dry |\n|---|---|---|---|---|---|---|")
    for name in PICTURES:
        row(name, [rain_strength(pixels) for pixels in pictures(data / name)])
    clips = {name: list(read(data / "clips" / name)) for name in CLIPS}
    for name, frames in clips.items():
        row(name, [rain_strength(frame) for frame in frames[::EVERY]])
    for heaviness in HEAVINESS:
        strengths = []
        for name, frames in clips.items():
            height, width = frames[0].shape[:2]
            for kind in range(KINDS):
                rain = sample_rain(np.random.default_rng(kind), heaviness)
                for index in range(0, min(RAINY_FRAMES, len(frames)), 2 * EVERY):
                    streaks = render_rain(rain, height, width, index / CLIPS[name])
                    strengths.append(rain_strength(add_rain(frames[index], streaks)))
        row(f"the three, synthetic rain of heaviness {heaviness}", strengths)
    print("\n| video | frames | passed as dry |\n|---|---|---|")
    for name, frames in clips.items():
        passed, count = skipped(iter(frames))
        print(f"| {name} | {count} | {passed / count:.1%} |")
    passed, count = skipped(iter(pictures(data / "clips" / "real-rain-patio") * 5))
    print(f"| real-rain-patio, five times over | {count} | {passed / count:.1%} |")
    for frames in clips.values():
        looked_at = frames[:RAINY_FRAMES]
        start = time.process_time()
        for frame in looked_at:
            rain_strength(frame)
        cost = 1e3 * (time.process_time() - start) / len(looked_at)
        size = "x".join(str(side) for side in frames[0].shape[1::-1])
        print(f"\nlooking at a frame of {size}: {cost:.1f} core-ms")


if __name__ == "__main__":
    main()
