"""The time until a fault, and its end, are noticed: ``python -m benchmarks.recovery [--rounds 5]``.

A camera on the loopback breaks in four ways, for a random time each, and comes back. Everything has
its real settings. Seen: from the fault to the change of state. Back: from the camera's return to the
first new frame. Promised are 3 s and 2 s.

- *stall*: the connection stands, no frames come, and then they come again.
- *mute*: as when a camera hangs: nothing is answered any more; at its return the old connections are cut.
- *refused*: as when a camera starts anew: connections are cut and no new ones taken.
- *dropped*: the connection is cut, and a new one is served at once.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from statistics import median

from runtime.checks.machine import this_machine
from runtime.sources.live.supervised import LiveOptions
from runtime.sources.open import open_source
from tests.runtime.sources.fault_server import Fake, HttpCamera, RtspCamera
from tests.runtime.sources.watching import Watcher, wait_for

_RATE = 25
Camera = RtspCamera | HttpCamera


def _mode(mode: str, *, cut: bool = False) -> Callable[[Camera], None]:
    def apply(camera: Camera) -> None:
        camera.fake.mode = mode  # type: ignore[assignment]
        if cut:
            camera.drop()

    return apply


FAULTS = {
    "stall": (_mode("stall"), _mode("serve"), 3.0, 4.5),
    "mute": (_mode("mute"), _mode("serve", cut=True), 3.0, 25.0),
    "refused": (_mode("refuse"), _mode("serve"), 0.5, 25.0),
    "dropped": (_mode("serve", cut=True), _mode("serve"), 0.0, 0.0),
}
"""Name -> the fault, its repair, and the least and the most seconds between them."""

CAMERAS = {"rtsp": (RtspCamera, "cam"), "http": (HttpCamera, "mjpeg")}
"""Class and path."""

SMALLEST = ["--rounds", "1", "--faults", "dropped"]
"""Options of ``--smallest``: a run of a few seconds that does everything once. Its figures mean nothing."""


def one(camera: Camera, watcher: Watcher, fault: str, rng: random.Random) -> tuple[float, float]:
    """Seconds until the fault was seen, and from the return to the first new frame."""
    break_it, mend_it, least, most = FAULTS[fault]
    watcher.wait_for_frames(2 * _RATE)
    start = time.monotonic()
    break_it(camera)
    wait_for(lambda: watcher.state != "live")
    seen = time.monotonic() - start
    time.sleep(max(0.0, rng.uniform(least, most) - seen))
    back = time.monotonic()
    mend_it(camera)
    wait_for(lambda: watcher.state == "live")
    watcher.wait_for_frames(1)
    return seen, time.monotonic() - back


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cameras", nargs="+", default=list(CAMERAS), choices=list(CAMERAS))
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=list(FAULTS))
    parser.add_argument("--smallest", action="store_true", help="end within seconds: only a trial run")
    arguments = sys.argv[1:]
    wanted = parser.parse_args([*SMALLEST, *arguments] if "--smallest" in arguments else arguments)
    rng = random.Random(wanted.seed)
    print(this_machine())
    print("\n| | fault | seen after, s: median | most | frame after return, s: median | most |")
    print("|---|---|---:|---:|---:|---:|")
    for kind, path in (CAMERAS[name] for name in wanted.cameras):
        with (
            kind(Fake(rate=_RATE)) as camera,
            Watcher(open_source(camera.url(path), lambda message: None, LiveOptions())) as watcher,
        ):
            for fault in wanted.faults:
                times = [one(camera, watcher, fault, rng) for _ in range(wanted.rounds)]
                seen, back = (sorted(values) for values in zip(*times, strict=True))
                print(
                    f"| {camera.scheme} | {fault} | {median(seen):.1f} | {seen[-1]:.1f} "
                    f"| {median(back):.1f} | {back[-1]:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
