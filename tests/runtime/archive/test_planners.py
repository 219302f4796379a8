"""Several commands at once on one destination, as processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.archive.job_folder import FOLDER
from runtime.archive.lock import only_job
from runtime.archive.plan import Plan, Settings
from tests.media import read_clip
from tests.patience import PATIENCE
from tests.runtime.archive.recordings import SETTINGS, made_job, make_recording
from tests.runtime.archive.test_archive_cli import ARCHIVE, PLANNED, model, run

OTHER = Settings("other.onnx", "1" * 64, "1.0", 1.0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.mkv", "c/d.ts"):
        make_recording(tmp_path / "src" / name, 40)
    return tmp_path / "src"


def at_once(*commands: list[object]) -> list[subprocess.CompletedProcess[str]]:
    started = [
        subprocess.Popen(
            [*ARCHIVE, *map(str, each)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for each in commands
    ]
    ended = [each.communicate(timeout=PATIENCE) for each in started]
    return [
        subprocess.CompletedProcess(each.args, each.returncode, *streams)
        for each, streams in zip(started, ended, strict=True)
    ]


def test_two_commands_at_once_plan_once_and_leave_one_result_each(source: Path, engines_onnx: Path) -> None:
    dst = source.parent / "dst"
    for ended in at_once(*[[source, dst, *model(engines_onnx)]] * 2):
        assert ended.returncode == 0, ended.stderr
    (plan,) = dst.glob(f"{FOLDER}/*/plan-*.jsonl")
    assert len(list(Plan(plan))) == 3
    outputs = [path for path in dst.rglob("*") if path.is_file() and FOLDER not in path.parts]
    assert sorted(path.name for path in outputs) == ["a.mp4", "b.mkv", "d.ts.mkv"]
    assert all(len(read_clip(path).frames) == 40 for path in outputs)
    assert not [path for path in dst.rglob("*.mp4") if FOLDER in path.parts]


def test_a_second_job_is_refused_while_the_first_runs(
    source: Path, engines_onnx: Path, tmp_path: Path
) -> None:
    job = made_job(tmp_path / "dst")
    with only_job(job):
        refused = run(source, tmp_path / "dst", *model(engines_onnx))
        assert refused.returncode == 1 and "is running here" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
    assert list((tmp_path / "dst").iterdir()) == [tmp_path / "dst" / FOLDER]


def test_workers_hold_the_destination_too(source: Path, engines_onnx: Path, tmp_path: Path) -> None:
    dst = tmp_path / "dst"
    assert run(source, dst, *PLANNED, "--model", engines_onnx).returncode == 0
    with only_job(made_job(dst)):
        worker = ["worker", dst, "--model", engines_onnx, "--backend", "onnxruntime", "--shard", "0/1"]
        refused = run(*worker)
    assert refused.returncode == 1 and "is running here" in refused.stderr


def test_a_second_job_does_not_replace_the_results_of_the_first(source: Path, engines_onnx: Path) -> None:
    dst = source.parent / "dst"
    assert run(source, dst, *model(engines_onnx)).returncode == 0
    before = (dst / "a.mp4").read_bytes()
    other = run(source, dst, *model(engines_onnx)[:-1], "3s")
    assert other.returncode == 1 and "add --overwrite" in other.stderr
    assert (dst / "a.mp4").read_bytes() == before


def test_a_plan_that_was_edited_is_one_line_and_removing_it_helps(source: Path, engines_onnx: Path) -> None:
    dst = source.parent / "dst"
    assert run(source, dst, *PLANNED, "--model", engines_onnx).returncode == 0
    (plan,) = dst.glob(f"{FOLDER}/*/plan-*.jsonl")
    plan.write_text(plan.read_text().replace("a.mp4", "../a.mp4"))
    refused = run(source, dst, *model(engines_onnx))
    assert refused.returncode == 1 and "the plan was changed" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    plan.unlink()
    assert run(source, dst, *model(engines_onnx)).returncode == 0


@pytest.mark.parametrize("pattern", ["src/*.mp4", "src/a.mp4"])
def test_results_never_replace_their_inputs(source: Path, engines_onnx: Path, pattern: str) -> None:
    before = (source / "a.mp4").read_bytes()
    refused = run(source.parent / pattern, source, *model(engines_onnx), "--overwrite")
    assert refused.returncode == 1 and "lies inside the destination" in refused.stderr
    assert (source / "a.mp4").read_bytes() == before and not (source / FOLDER).exists()


def test_a_name_that_is_not_unicode_is_one_line(source: Path, engines_onnx: Path) -> None:
    path = os.fsencode(source) + b"/caf\xe9.mp4"
    Path(os.fsdecode(path)).write_bytes((source / "a.mp4").read_bytes())
    refused = run(source, source.parent / "dst", *model(engines_onnx))
    assert refused.returncode == 1 and "its name is not valid UTF-8" in refused.stderr
    good = run(source, source.parent / "dst", *model(engines_onnx), "--exclude", "caf*")
    assert good.returncode == 0, good.stderr


def test_workers_end_with_a_driver_that_is_killed(source: Path, engines_onnx: Path) -> None:
    """They would work on beside the next run, for hours on a slow machine."""
    code = (
        "import sys, time, multiprocessing\n"
        "from runtime.archive.pool import _serve\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    ours, theirs = context.Pipe()\n"
        "    worker = context.Process(target=_serve, args=(theirs, None), daemon=True)\n"
        "    worker.start()\n"
        "    print(worker.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    script = source.parent / "driver.py"
    script.write_text(code)
    driver = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    worker = int(driver.stdout.readline())
    driver.kill()
    driver.wait()
    driver.stdout.close()
    deadline = 600
    while Path(f"/proc/{worker}").exists() and not _is_zombie(worker):
        deadline -= 1
        assert deadline, "the worker lives on"
        subprocess.run(["sleep", "0.1"], check=True)


def _is_zombie(process: int) -> bool:
    try:
        return ") Z" in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True


def test_a_job_whose_lock_another_run_holds_is_refused_and_does_not_wait(tmp_path: Path) -> None:
    first, second = (made_job(tmp_path / "dst", settings) for settings in (SETTINGS, OTHER))
    with only_job(second):
        pass  # it leaves its lock file, which the first job then holds
    with only_job(first), pytest.raises(UserError, match="is running here"), only_job(second):
        pass
    with only_job(second), only_job(second):
        pass
