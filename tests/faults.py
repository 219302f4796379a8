"""Breaks files and runs at random and checks what docs/reliability.md promises: ``python -m tests.faults``.

Every trial gets a random generator and an empty folder, and raises AssertionError if a promise is broken. The
seed of a failed trial is printed; ``--seed`` repeats it. Commands run in processes of their own, with limits
on memory and time, and with an engine that needs no model where the model does not matter.
"""

import argparse
import os
import random
import re
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import torch

from granet import GraNet, GraNetConfig, save_checkpoint
from tests.media import make_clip, numbered, read_clip, write_picture
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
RUN = [sys.executable, "-m", "tests.runtime.run_fake", "--model", "fake.onnx"]
EXPORT = [sys.executable, "-m", "export.cli"]

_ADDRESSES = 6 << 30
"""Limit of the address space of a command. Libraries reserve more than they use."""

Trial = Callable[[random.Random, Path], None]


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in ``folder``; it must end in time and without an internal error."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))

    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
        preexec_fn=limit,
        check=False,
    )
    assert ended.returncode in (0, 1, 2, 3), f"status {ended.returncode}: {ended.stderr[-500:]}"
    assert "internal error" not in ended.stderr and "Traceback" not in ended.stderr, ended.stderr[-500:]
    assert "\x1b" not in ended.stderr, "an escape sequence reached stderr"
    return ended


def broken(dice: random.Random, data: bytes) -> bytes:
    """``data`` truncated, with flipped bits, with junk inside, after it, or in place of a part."""
    at = dice.randrange(1, len(data))
    junk = dice.randbytes(dice.randrange(1, 4096))
    kind = dice.randrange(5)
    if kind == 0:
        return data[:at]
    if kind == 1:
        spoiled = bytearray(data)
        for _ in range(dice.randrange(1, 40)):
            spoiled[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        return bytes(spoiled)
    if kind == 2:
        return data[:at] + junk + data[at:]
    if kind == 3:
        return data + junk
    return data[:at] + junk + data[at + len(junk) :]


def interrupted_file(dice: random.Random, folder: Path) -> None:
    """Nr 1: a run that a signal ends leaves no final name, or a complete file."""
    make_clip(folder / "in.mp4", 60)
    number = dice.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    command = [*RUN, "--input", "in.mp4", "--output", "out.mkv"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_SECONDS": "0.02"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    if dice.random() < 0.75:  # while it writes, however long the machine takes to start it
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and not any("part" in path.name for path in folder.iterdir()):
            assert time.monotonic() < deadline, "no part was begun"
            time.sleep(0.01)
    time.sleep(dice.uniform(0.0, 1.5))
    process.send_signal(number)
    status = process.wait(PATIENCE)
    output = folder / "out.mkv"
    died = status in (-number, 128 + number)
    if output.exists():  # also if the signal came after the last frame
        assert (status == 0 or died) and len(read_clip(output).frames) == 60
        return
    assert died, f"status {status} after signal {number}"
    run(command, folder)
    assert len(read_clip(output).frames) == 60
    left = [path.name for path in folder.iterdir() if "part" in path.name]
    assert left == [], f"parts are left: {left}"


def broken_video(dice: random.Random, folder: Path) -> None:
    """Nr 8: a damaged video gives what decodes or one line."""
    suffix = dice.choice([".mp4", ".mkv", ".avi", ".ts", ".mov"])
    whole = make_clip(folder / f"whole{suffix}", 40, options={"g": "10", "crf": "20", "preset": "ultrafast"})
    run([*RUN, "--input", whole.name, "--output", "whole.mkv"], folder)
    assert len(read_clip(folder / "whole.mkv").frames) == 40, "the video before it is damaged"
    (folder / f"in{suffix}").write_bytes(broken(dice, whole.read_bytes()))
    ended = run([*RUN, "--input", f"in{suffix}", "--output", "out.mkv"], folder)
    output = folder / "out.mkv"
    assert output.exists() == (ended.returncode == 0)
    if output.exists():
        assert read_clip(output).frames


def broken_picture(dice: random.Random, folder: Path) -> None:
    """Nr 7 and 15: a damaged picture gives a picture or one line."""
    suffix = dice.choice([".png", ".jpg", ".webp", ".bmp", ".tiff"])
    write_picture(folder / f"whole{suffix}", numbered(3, 60, 80))
    run([*RUN, "--input", f"whole{suffix}", "--output", "whole.out.png"], folder)
    assert (folder / "whole.out.png").exists(), "the picture before it is damaged"
    (folder / f"in{suffix}").write_bytes(broken(dice, (folder / f"whole{suffix}").read_bytes()))
    ended = run([*RUN, "--input", f"in{suffix}", "--output", "out.png"], folder)
    assert (folder / "out.png").exists() == (ended.returncode == 0)


def inspect(whole: Path, name: str, folder: Path) -> None:
    """Describes a file of weights on stdout, or refuses it on stderr; ``whole`` is the undamaged one."""
    described = run([*EXPORT, "inspect", str(whole)], folder)
    assert described.returncode == 0 and described.stdout, "the file before it is damaged"
    ended = run([*EXPORT, "inspect", name], folder)
    assert bool(ended.stdout) == (ended.returncode == 0), "it is neither described nor refused"


def broken_checkpoint(dice: random.Random, folder: Path) -> None:
    """Nr 12 and 15: a damaged checkpoint is described or refused in one line."""
    torch.manual_seed(dice.randrange(1000))
    model = GraNet(GraNetConfig(channels=4, growth=4, dense_layers=1, nonlocal_channels=4, fine_blocks=1))
    suffix = dice.choice([".pt", ".safetensors"])
    save_checkpoint(folder / f"whole{suffix}", model)
    (folder / f"in{suffix}").write_bytes(broken(dice, (folder / f"whole{suffix}").read_bytes()))
    inspect(folder / f"whole{suffix}", f"in{suffix}", folder)


def broken_model(dice: random.Random, folder: Path) -> None:
    """Nr 16: a damaged ONNX file is described or refused in one line."""
    whole = ROOT / "runtime" / "models" / "lite.onnx"
    (folder / "in.onnx").write_bytes(broken(dice, whole.read_bytes()))
    inspect(whole, "in.onnx", folder)


def strange_name(dice: random.Random, folder: Path) -> None:
    """Nr 11 and 14: a file name of any bytes is processed, or refused in one clean line."""
    alphabet = [byte for byte in range(1, 256) if byte not in b"/"]
    name = bytes(dice.choices(alphabet, k=dice.randrange(1, 30))) + b".png"
    write_picture(folder / "whole.png", numbered(2, 40, 40))
    text = os.fsdecode(name)
    (folder / "whole.png").rename(folder / text)
    ended = run([*RUN, "--input", f"./{text}", "--output", "out.png"], folder)
    assert (folder / "out.png").exists() == (ended.returncode == 0)
    assert ended.returncode == 0 or len(ended.stderr.splitlines()) == 1, ended.stderr


def secret_in_address(dice: random.Random, folder: Path) -> None:
    """Nr 18: a value from the environment is shown nowhere, wherever it stands."""
    secret = "".join(dice.choices("abcXYZ019-_.!$+é", k=dice.randrange(6, 20)))
    place = dice.choice(
        [
            "rtsp://u:{}@127.0.0.1:9/a", "rtsp://127.0.0.1:9/{}/a", "http://127.0.0.1:9/a?pw={}",
            "rtsp://127.0.0.1:9/user=admin_password={}_channel=1", "http://127.0.0.1:9/a;token={}",
        ]
    )  # fmt: skip
    command = [*RUN, "--input", place.format("${PW}"), "--output", "out.mkv"]
    if place.startswith("rtsp"):
        command += ["--give-up-after", "1"]
    ended = run(command, folder, PW=secret)
    shown = ended.stderr + ended.stdout
    assert ended.returncode == 1 and "127.0.0.1:9" in shown, f"the address was not tried: {shown}"
    assert secret not in shown and quote(secret, safe="") not in shown


def unread_stderr(dice: random.Random, folder: Path) -> None:
    """Nr 13: a run ends although nobody reads its messages."""
    make_clip(folder / "in.mp4", 20)
    assert run([*RUN, "--input", "in.mp4", "--output", "heard.mkv"], folder).stderr, "it has no message"
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with_room = dice.randrange(0, 200)
    try:
        while os.write(writing, b"x" * 4096):
            pass
    except BlockingIOError:
        os.read(reading, with_room + 1)
    os.set_blocking(writing, True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*RUN, "--input", "in.mp4", "--output", "out.mkv"], cwd=folder, env=environment, stderr=writing
    )
    os.close(writing)
    try:
        assert process.wait(PATIENCE) == 0
    finally:
        os.close(reading)
    assert len(read_clip(folder / "out.mkv").frames) == 20


def two_writers(dice: random.Random, folder: Path) -> None:
    """Nr 3: of two runs with one output exactly one has the name, and nothing is lost."""
    make_clip(folder / "in.mp4", 20)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_SECONDS": f"{dice.uniform(0, 0.02)}"}
    command = [*RUN, "--input", "in.mp4", "--output", "out.mkv"]
    runs = []
    for _ in range(2):
        runs.append(subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL))
        time.sleep(dice.uniform(0, 0.3))
    statuses = sorted(process.wait(PATIENCE) for process in runs)
    assert statuses == [0, 1], f"statuses {statuses}"
    assert len(read_clip(folder / "out.mkv").frames) == 20


TRIALS: dict[int, list[Trial]] = {
    1: [interrupted_file],
    3: [two_writers],
    7: [broken_picture],
    8: [broken_video],
    11: [strange_name],
    12: [broken_checkpoint],
    13: [unread_stderr],
    16: [broken_model],
    18: [secret_in_address],
}
"""Number in docs/reliability.md -> its trials."""


def break_things(seed: int, rounds: int) -> tuple[Counter[int], list[str]]:
    """Runs every trial ``rounds`` times.

    Returns:
        Number of a promise -> passed trials, and a line for each failed trial.
    """
    passed: Counter[int] = Counter()
    failed: list[str] = []
    for turn in range(rounds):
        for number, trials in TRIALS.items():
            for trial in trials:
                name = f"{seed}/{turn}/{trial.__name__}"
                with tempfile.TemporaryDirectory(prefix="granet-faults-") as folder:
                    try:
                        trial(random.Random(name), Path(folder))
                        passed[number] += 1
                    except (AssertionError, subprocess.TimeoutExpired):
                        failed.append(f"{name}: {traceback.format_exc(limit=-1).strip().splitlines()[-1]}")
    return passed, failed


def rows() -> list[tuple[int, str, list[str]]]:
    """The table of docs/reliability.md: number, promise, tests."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\| (\d+) \| (.*) \| (.*) \|$", line):
            found.append((int(match[1]), match[2], re.findall(r"`([^`]+)`", match[3])))
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seed", type=int, default=None, help="repeat the trials of this seed (default: new)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="trials of each kind")
    wanted = parser.parse_args()
    seed = secrets.randbelow(10**6) if wanted.seed is None else wanted.seed
    passed, failed = break_things(seed, wanted.rounds)
    out = sys.stdout
    out.write(f"seed {seed}\n\n| Nr | Promise | Trials passed | Tests |\n|---|---|---:|---|\n")
    for number, promise, tests in rows():
        trials = str(passed[number]) if number in TRIALS else "none"
        out.write(f"| {number} | {promise} | {trials} | {', '.join(tests)} |\n")
    out.writelines(f"FAILED {line}\n" for line in failed)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
