"""An output of a file that is not complete never has its final name, and the process dies of its signal."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.media import make_clip, number_of, numbered, read_clip, write_picture
from tests.patience import PATIENCE
from tests.runtime.test_cli import ROOT, RUN, start

LENGTH = 400


def wait_for(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def end(process: subprocess.Popen[bytes]) -> int:
    process.communicate(timeout=PATIENCE)
    return process.returncode


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize(
    ("number", "suffix"),
    [(signal.SIGINT, ".mp4"), (signal.SIGTERM, ".mkv"), (signal.SIGHUP, ".mp4"), (signal.SIGTERM, ".avi")],
)
def test_an_interrupted_file_stays_as_a_part_until_a_run_completes_it(
    tmp_path: Path, number: signal.Signals, suffix: str
) -> None:
    make_clip(tmp_path / "in.mp4", count=LENGTH)
    output, part = f"out{suffix}", tmp_path / f"out.part{suffix}"
    process = start("--input", "in.mp4", "--output", output, "--json", cwd=tmp_path, stdout=subprocess.PIPE)
    wait_for(process, part.exists)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -number
    assert b"interrupted; " in err and b"Traceback" not in err
    assert f"{output} is not complete; the finished part is in {part.name}" in err.decode()
    assert names_in(tmp_path) == ["in.mp4", part.name]
    frames = [number_of(frame) for frame in read_clip(part).frames]
    assert 0 < len(frames) < LENGTH and frames == [index % 14 for index in range(len(frames))]
    summary = json.loads(out)
    assert summary["complete"] is False and summary["frames_out"] == len(frames)
    again = start("--input", "in.mp4", "--output", output, cwd=tmp_path, seconds=0)
    assert end(again) == 0
    assert names_in(tmp_path) == ["in.mp4", output]
    assert len(read_clip(tmp_path / output).frames) == LENGTH


def test_a_stop_after_the_last_frame_does_not_make_a_complete_file_a_part(tmp_path: Path) -> None:
    """The limit is reached while the signal arrives: what was asked for is there."""
    make_clip(tmp_path / "in.mp4", count=3)
    script = (
        "import os, signal\n"
        "from runtime.sinks.video.sink import VideoSink\n"
        "write = VideoSink.write\n"
        "def write_and_interrupt(self, frame, before=None):\n"
        "    write(self, frame, before)\n"
        "    if frame.index == 2: os.kill(os.getpid(), signal.SIGTERM)\n"
        "VideoSink.write = write_and_interrupt\n"
        "import tests.runtime.run_fake, runtime.cli\n"
        "runtime.cli.main()\n"
    )
    line = ["--model", "fake.onnx", "--input", "in.mp4", "--output", "out.mkv", "--max-frames", "3"]
    done = subprocess.run(
        [sys.executable, "-c", script, *line],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert names_in(tmp_path) == ["in.mp4", "out.mkv"]
    assert len(read_clip(tmp_path / "out.mkv").frames) == 3


@pytest.mark.parametrize("exists", [False, True])
def test_the_pictures_of_an_interrupted_run_do_not_pass_for_all(tmp_path: Path, exists: bool) -> None:
    make_clip(tmp_path / "in.mp4", count=60)
    part = tmp_path / "out.part"
    if exists:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine.txt").write_text("mine")
        part = tmp_path / "out" / "granet.part"
    process = start("--input", "in.mp4", "--output", "out", cwd=tmp_path, seconds=0.05)
    wait_for(process, lambda: (part / "000002.png").exists())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT
    count = len(names_in(part))
    assert 2 <= count < 60 and names_in(part) == [f"{i + 1:06d}.png" for i in range(count)]
    assert f"out/ is not complete; {count} pictures are in {part.relative_to(tmp_path)}" in err.decode()
    assert not list((tmp_path / "out").glob("*.png"))
    assert end(start("--input", "in.mp4", "--output", "out", cwd=tmp_path, seconds=0)) == 0
    assert not part.exists() and len(list((tmp_path / "out").glob("*.png"))) == 60
    assert (tmp_path / "out" / "mine.txt").exists() == exists


def test_a_folder_of_pictures_is_not_complete_after_some(tmp_path: Path) -> None:
    for index in range(40):
        write_picture(tmp_path / "photos" / f"{index:02}.jpg", numbered(index % 14))
    process = start("--input", "photos", "--output", "clear", "--show", "mask", cwd=tmp_path, seconds=0.1)
    wait_for(process, lambda: (tmp_path / "clear.part" / "01.jpg").exists())
    process.send_signal(signal.SIGTERM)
    assert end(process) == -signal.SIGTERM
    assert names_in(tmp_path) == ["clear.part", "photos"]


def test_ctrl_c_stops_the_documented_loop_and_the_next_one_finishes_the_rest(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    for name in ("a.mp4", "b.mp4"):
        make_clip(tmp_path / "recordings" / name, count=LENGTH)
    python = f"{shlex.quote(sys.executable)} -m tests.runtime.run_fake --model fake.onnx"
    text = (ROOT / "docs" / "running.md").read_text().split("### A folder of recordings")[1]
    script = f'granet-run() {{ {python} "$@"; }}\n' + text.split("```bash\n")[1].split("```")[0]

    def loop(seconds: float) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_SECONDS": str(seconds)}
        return subprocess.Popen(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            start_new_session=True,
            stderr=subprocess.PIPE,
        )

    process = loop(0.01)
    wait_for(process, lambda: has_content(tmp_path / "dry" / "a.part.mp4"))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT
    assert names_in(tmp_path / "dry") == ["a.part.mp4"]
    process = loop(0)
    process.communicate(timeout=PATIENCE)
    assert names_in(tmp_path / "dry") == ["a.mp4", "b.mp4"]
    assert all(len(read_clip(path).frames) == LENGTH for path in (tmp_path / "dry").iterdir())


def test_what_a_killed_run_left_is_removed_but_not_what_a_running_one_writes(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=LENGTH)
    killed = start("--input", "in.mp4", "--output", "out.mkv", cwd=tmp_path)
    wait_for(killed, lambda: has_content(tmp_path / "out.part.mkv"))
    running = start("--input", "in.mp4", "--output", "out.mkv", cwd=tmp_path)
    wait_for(running, lambda: has_content(tmp_path / "out.part2.mkv"))
    killed.kill()
    killed.communicate(timeout=PATIENCE)
    last = start("--input", "in.mp4", "--output", "out.mkv", cwd=tmp_path)
    wait_for(last, lambda: has_content(tmp_path / "out.part.mkv"))
    for process in (running, last):
        process.communicate(timeout=PATIENCE)
    # Both wrote the same name; the second to finish keeps its part.
    assert sorted([running.returncode, last.returncode]) == [0, 1]
    kept = "out.part2.mkv" if running.returncode else "out.part.mkv"
    assert names_in(tmp_path) == ["in.mp4", "out.mkv", kept]
    for name in ("out.mkv", kept):
        assert len(read_clip(tmp_path / name).frames) == LENGTH


def test_a_closed_terminal_does_not_end_what_nohup_started(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=LENGTH)
    process = subprocess.Popen(
        [*RUN, "--input", "in.mp4", "--output", "o.mkv"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FAKE_SECONDS": "0.005"},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        stderr=subprocess.PIPE,
    )
    wait_for(process, lambda: has_content(tmp_path / "o.part.mkv"))
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and names_in(tmp_path) == ["in.mp4", "o.mkv"]


def test_files_of_a_configuration_stay_as_parts_too(tmp_path: Path) -> None:
    lines = ['model = "fake.onnx"']
    for name in ("a", "b"):
        make_clip(tmp_path / f"{name}.mp4", count=LENGTH)
        lines += ["[[stream]]", f'name = "{name}"', f'input = "{name}.mp4"', f'output = "{name}.mkv"']
    (tmp_path / "streams.toml").write_text("\n".join(lines))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.runtime.run_fake", "--config", "streams.toml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FAKE_SECONDS": "0.02"},
        stderr=subprocess.PIPE,
    )
    parts = [tmp_path / f"{name}.part.mkv" for name in ("a", "b")]
    wait_for(process, lambda: all(has_content(part) for part in parts))
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGTERM
    for name, part in zip(("a", "b"), parts, strict=True):
        assert f"{name}.mkv is not complete; the finished part is in {part.name}" in err.decode()
        assert 0 < len(read_clip(part).frames) < LENGTH
        assert not (tmp_path / f"{name}.mkv").exists()
