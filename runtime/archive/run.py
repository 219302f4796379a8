"""``granet-archive SRC DST``: plan, work, join, report."""

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from granet import __version__
from granet.app.console import Interrupted, say
from granet.app.cores import usable_cores
from granet.app.progress import terminal_progress
from granet.app.results import print_line
from granet.app.signals import on_interrupt
from granet.errors import UserError
from granet.weights.renames import parse_renames
from runtime.archive.driver import Driver
from runtime.archive.estimate import measure_rate
from runtime.archive.inputs import check_apart, check_names, find_recordings
from runtime.archive.job_folder import FOLDER, JobFolder
from runtime.archive.join import check_new_job, check_results, tidy
from runtime.archive.lock import only_job
from runtime.archive.options import ArchiveOptions
from runtime.archive.plan import Plan, PlannedFile, Settings
from runtime.archive.planning import check_encoding, make_plan, plan_file
from runtime.archive.pool import LocalPool, Pool
from runtime.archive.report import write_report
from runtime.archive.status import status_of
from runtime.archive.storage.base import Storage
from runtime.archive.storage.place import storage_at
from runtime.archive.tasks import Work
from runtime.artefacts.manifest import sha256_of
from runtime.model_option import require_file
from runtime.run.model import choose_model, open_model

A_MINUTE = 60.0
"""Seconds between two lines about the progress in a log."""


def run_archive(options: ArchiveOptions) -> None:
    """Plans a job or continues it, until every recording is finished.

    Raises:
        UserError: if source or destination cannot be used, or recordings failed.
        Interrupted: after Ctrl-C; run the same command to continue.
    """
    options.check()
    storage = storage_at(options.destination)
    check_apart(options.source, options.destination)
    recordings = find_recordings(options.source, options.selection, say)
    check_apart(options.source, options.destination, recordings)
    check_names(recordings)
    check_encoding(recordings, options.encoding, here=options.works_here)
    model = choose_model(options.model, options.device, options.backend)
    require_file(model, "a job names its model by the hash of its file")
    settings = Settings(
        model.name,
        sha256_of(model),
        __version__,
        options.segment_seconds,
        skip_dry=options.skip_dry,
        encoding=options.encoding,
        renames=parse_renames(options.renames),
    )
    if options.dry_run:
        files = [plan_file(recording, settings) for recording in recordings]
        _print_estimate(files, settings, model, options)
        return
    job = JobFolder(storage, settings.job)
    job.make()
    with only_job(job):
        _say_other_jobs(job)
        if not options.plan_only:
            check_new_job(job, recordings, overwrite=options.overwrite)
        with terminal_progress("plan") as progress:
            plan = make_plan(job, recordings, settings, options.source, say, progress)
        if options.plan_only:
            say(f"job {job.job} is planned: start granet-archive worker {options.destination} --shard I/N")
            return
        check_results(job, plan, say, overwrite=options.overwrite)
        with _pool(options, _work(options, job, model, settings)) as pool:
            end = _driven(job, plan, pool, options)
    _finish(job, plan, end, options)


@dataclass(frozen=True)
class _End:
    """How a run ended.

    Attributes:
        failed: recordings that were not finished, with the reason.
        interrupted: the signal that ended it.
        error: why it stopped.
    """

    failed: dict[str, str]
    interrupted: int | None
    error: UserError | None


def _work(options: ArchiveOptions, job: JobFolder, model: Path, settings: Settings) -> Work:
    return Work(
        job.storage.absolute(),
        job.job,
        model.resolve(),
        options.device,
        options.backend,
        skip_dry=settings.skip_dry,
        encoding=settings.encoding,
        overwrite=options.overwrite,
        opened=partial(open_model, renames=settings.renames),
    )


def _pool(options: ArchiveOptions, work: Work) -> Pool:
    if options.ray is None:
        return LocalPool(work, options.workers)
    from runtime.archive.ray_pool import RayPool

    return RayPool(work, options.ray, options.workers)


def _driven(job: JobFolder, plan: Plan, pool: Pool, options: ArchiveOptions) -> _End:
    before = status_of(job, plan)
    say(
        f"job {job.job}: {before.files} recordings, {before.hours:.2f} hours, {before.segments} segments "
        f"({before.segments_done} done), with {plan.settings.model} on {pool.size} workers"
    )
    error = None
    with terminal_progress("archive", "fps", every=A_MINUTE) as progress:
        driver = Driver(
            job,
            pool,
            plan,
            before.frames,
            copy_dry=plan.settings.skip_dry,
            tries=options.tries,
            on_failure=options.on_failure,
            announce=say,
            progress=progress,
        )
        with ExitStack() as held, on_interrupt(driver.stop) as interruption:
            if options.metrics is not None:
                from runtime.archive.metrics import serve_tally

                say(f"metrics: {held.enter_context(serve_tally(options.metrics, driver.tally, before))}")
            try:
                driver.run()
            except UserError as stopped:
                error = stopped
            finally:
                pool.close()
    return _End(driver.tally.failed, interruption.number, error)


def _finish(job: JobFolder, plan: Plan, end: _End, options: ArchiveOptions) -> None:
    """Reports what is done, when the job no longer runs."""
    if job.is_there():
        tidy(job, plan)
        say(f"report: {write_report(job, plan)}")
        status = status_of(job, plan)
        for line in status.lines():
            say(line)
        if options.as_json:
            sys.stdout.write(json.dumps(status.to_dict()) + "\n")
    if end.interrupted is not None:
        say("interrupted; run the same command to continue")
        raise Interrupted(end.interrupted)
    if end.error is not None:
        raise end.error
    if end.failed:
        name, reason = next(iter(end.failed.items()))
        raise UserError(f"{len(end.failed)} of {plan.files} recordings were not finished: {name}: {reason}")


def _say_other_jobs(job: JobFolder) -> None:
    others = [name for name in job.storage.names(FOLDER) if name != job.job and _is_job(job.storage, name)]
    if others and not job.plans():
        say(
            f"the model, the options or the version differ from those of job {', '.join(others)}: "
            f"this is a new job, {job.job}"
        )


def _is_job(storage: Storage, name: str) -> bool:
    return bool(JobFolder(storage, name).plans())


def _print_estimate(
    files: list[PlannedFile], settings: Settings, model: Path, options: ArchiveOptions
) -> None:
    good = [file for file in files if not file.problem]
    for file in files:
        about = file.problem or (
            f"{file.width}x{file.height}, {file.seconds:.1f} s, {file.frames} frames, "
            f"{len(file.segments)} segments -> {file.output}"
        )
        print_line(f"{file.name}: {about}")
    if not good:
        raise UserError(f"{options.source}: none of the recordings can be processed")
    with open_model(model, options.device, options.backend, renames=settings.renames) as engine:
        say(f"measuring on {good[0].name}, for a minute at most")
        rate = measure_rate(good[0], engine, settings.encoding)
    seconds = sum(rate.seconds_for(file.frames, file.width * file.height) for file in good)
    print_line(
        f"job {settings.job}: {len(good)} recordings, {sum(file.seconds for file in good) / 3600:.2f} hours, "
        f"{sum(file.frames for file in good)} frames, {sum(len(file.segments) for file in good)} segments"
    )
    print_line(
        f"estimate: {seconds / 3600:.2f} hours with one worker, from {rate.frames} frames in "
        f"{rate.seconds:.1f} s ({usable_cores()} cores)"
    )
