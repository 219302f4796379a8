"""``granet-archive worker DST``: one share of a planned job, without a coordinator."""

from functools import partial

from granet import __version__
from granet.app.console import Interrupted, say
from granet.app.progress import terminal_progress
from granet.app.signals import on_interrupt
from granet.errors import UserError
from runtime.archive.driver import Driver
from runtime.archive.join import check_results, tidy
from runtime.archive.lock import only_job
from runtime.archive.options import WorkerOptions
from runtime.archive.pool import LocalPool
from runtime.archive.shards import parse_shard
from runtime.archive.status import current_job
from runtime.archive.storage.place import storage_at
from runtime.archive.tasks import Work
from runtime.artefacts.manifest import sha256_of
from runtime.model_option import check_model_options, require_file
from runtime.run.model import choose_model, open_model


def run_worker(options: WorkerOptions) -> None:
    """Makes the segments of a share, then joins each recording whose segments are all published.

    Workers need no connection to each other. A worker that runs again or twice does no harm.

    Raises:
        UserError: if there is no job, the model is another one, or a recording failed.
        Interrupted: after Ctrl-C.
    """
    shard = parse_shard(options.shard)
    check_model_options(options, options.model, options.device, options.backend)
    job, plan = current_job(storage_at(options.destination))
    model = choose_model(options.model, options.device, options.backend)
    require_file(model, "a job names its model by the hash of its file")
    if (plan.settings.model_sha256, plan.settings.version) != (sha256_of(model), __version__):
        raise UserError(
            f"{model}: job {job.job} was planned with another model ({plan.settings.model}) or version "
            f"({plan.settings.version}; this is {__version__}); use the same ones on all machines"
        )
    plan.settings.encoding.require_here()
    work = Work(
        job.storage.absolute(),
        job.job,
        model.resolve(),
        options.device,
        options.backend,
        skip_dry=plan.settings.skip_dry,
        encoding=plan.settings.encoding,
        overwrite=options.overwrite,
        opened=partial(open_model, renames=plan.settings.renames),
    )
    check_results(job, plan, say, overwrite=options.overwrite)
    say(f"job {job.job}: share {shard}")
    with only_job(job), LocalPool(work, 1) as pool, terminal_progress("archive", "fps", every=60) as progress:
        driver = Driver(
            job,
            pool,
            plan,
            sum(file.frames for file in plan),
            shard=shard,
            copy_dry=plan.settings.skip_dry,
            tries=options.tries,
            on_failure=options.on_failure,
            announce=say,
            progress=progress,
        )
        with on_interrupt(driver.stop) as interruption:
            tally = driver.run()
    if job.is_there():
        tidy(job, plan)
    if interruption.happened:
        raise Interrupted(interruption.number)
    if tally.failed:
        name, reason = next(iter(tally.failed.items()))
        raise UserError(f"{len(tally.failed)} recordings were not finished: {name}: {reason}")
