"""A real Ray on this machine."""

import os
import signal
from pathlib import Path

import pytest

from runtime.archive.driver import Driver
from runtime.archive.tasks import Work
from runtime.sinks.video.encoding import Encoding
from tests.media import read_clip
from tests.runtime.archive.recordings import made_job, make_recording, planned

ray = pytest.importorskip("ray", reason="Ray is not installed")


def workers_of_ray() -> list[int]:
    """The actors below this process; others on the machine belong to somebody else."""
    parents, actors = {}, []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if (path / "cmdline").read_bytes().startswith(b"ray::RayWorker"):
                actors.append(int(path.name))
        except OSError:
            continue
    return [actor for actor in actors if os.getpid() in ancestors(actor, parents)]


def ancestors(process: int, parents: dict[int, int]) -> list[int]:
    found = [process]
    while found[-1] in parents:
        found.append(parents[found[-1]])
    return found[1:]


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_finishes_a_job_though_workers_are_killed(tmp_path: Path, engines_onnx: Path) -> None:
    from runtime.archive.ray_pool import LOCAL, RayPool

    job = made_job(tmp_path / "dst")
    file = planned(make_recording(tmp_path / "a.mp4", 70))
    work = Work(job.destination, job.job, engines_onnx, "cpu", "onnxruntime", encoding=Encoding("hevc"))
    killed: list[int] = []
    with RayPool(work, LOCAL, 2) as pool:
        driver = Driver(job, pool, [file], file.frames, tries=10)
        submit = pool.submit

        def killing(task: object) -> None:
            submit(task)  # type: ignore[arg-type]
            if len(killed) < 2:
                for worker in workers_of_ray():
                    killed.append(worker)
                    os.kill(worker, signal.SIGKILL)
                    return

        pool.submit = killing  # type: ignore[method-assign]
        tally = driver.run()
    assert tally.files == 1 and tally.failed == {}
    made = read_clip(job.destination / "a.mp4")
    assert (len(made.frames), made.codec) == (70, "hevc")


def test_an_address_without_a_cluster_is_one_line(tmp_path: Path, engines_onnx: Path) -> None:
    from granet.errors import UserError
    from runtime.archive.ray_pool import RayPool

    with pytest.raises(UserError, match=r"--ray 127\.0\.0\.1:1: no cluster answers there"):
        RayPool(Work(tmp_path, "job", engines_onnx), "127.0.0.1:1", 1)


def test_a_node_without_the_model_ends_the_run_in_one_line(tmp_path: Path) -> None:
    from granet.errors import UserError
    from runtime.archive.ray_pool import LOCAL, RayPool

    job = made_job(tmp_path / "dst")
    file = planned(make_recording(tmp_path / "a.mp4", 20))
    work = Work(job.destination, job.job, tmp_path / "gone.onnx", "cpu", "onnxruntime")
    with (
        RayPool(work, LOCAL, 1) as pool,
        pytest.raises(UserError, match=r"does not see .*gone\.onnx") as refused,
    ):
        Driver(job, pool, [file], file.frames).run()
    assert "\n" not in str(refused.value) and not list(job.failures())


def test_a_node_with_another_version_does_not_start(tmp_path: Path, engines_onnx: Path) -> None:
    from runtime.archive.ray_pool import RayWorker

    with pytest.raises(RuntimeError, match=r"has version .* this machine 0\.0\.0"):
        RayWorker(Work(tmp_path, "job", engines_onnx), "0.0.0")
