"""One source through one engine into its outputs: ``granet-run`` without ``--config``."""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from granet.app.console import Interrupted, Notes, UsageError, detail, say
from granet.app.progress import terminal_progress
from granet.app.schema import to_json
from granet.app.signals import on_interrupt
from granet.errors import UserError
from granet.weights.renames import parse_renames
from runtime.engines.base import Engine
from runtime.live.outputs import open_outputs, open_page
from runtime.live.pipeline import Pipeline
from runtime.live.watchdog import Watchdog
from runtime.run.input import PendingSource, pending_source
from runtime.run.model import choose_model, open_model
from runtime.run.options import RunOptions
from runtime.sinks.several import SeveralSinks
from runtime.sources.base import Source, StreamInfo
from runtime.sources.live.supervised import LiveOptions
from runtime.telemetry.health import Health
from runtime.telemetry.summary import Summary
from runtime.telemetry.terminal import status_line


def run_once(options: RunOptions) -> None:
    """Runs until the source ends or the user stops it, and prints a summary.

    Args:
        options: checked by :func:`runtime.run.rules.check_run_options`.

    Raises:
        UserError: if something cannot be opened, or fails during the run.
        Interrupted: after Ctrl-C or SIGTERM, when the outputs are finished.
    """
    notes, watchdog = Notes(), Watchdog()
    outputs, renames = options.parsed_outputs(), parse_renames(options.renames)
    patience = LiveOptions(
        give_up_after=options.give_up_after, live=options.live, announce=say, waiting=watchdog.alive
    )
    pending = pending_source(options, patience, notes)
    model = choose_model(options.model, options.device, options.backend)
    with ExitStack() as held:
        serve_metrics(outputs.metrics, [pending.health], held)
        page = open_page(outputs, pending.health, say)
        if page is not None:
            held.callback(page.abort)
            if pending.may_be_away:
                say(f"page: {page.name}")
        source, engine = _open_both(
            pending,
            lambda: open_model(
                model, options.device, options.backend, rebuild=options.rebuild, renames=renames
            ),
            watchdog,
            held,
        )
        _check_live(options, source)
        sink = open_outputs(outputs, source, notes, say, watchdog.alive, page)
        try:
            _run(source, engine, sink, notes, options)
        finally:
            watchdog.stopping()
            if options.skip_dry:
                dry = source.health.snapshot().frames_dry
                say(f"{dry} frames were dry and not computed")


def serve_metrics(listen: tuple[str, int] | None, healths: Sequence[Health], held: ExitStack) -> None:
    """Serves metrics of the streams, if ``listen`` says where, until ``held`` ends.

    Raises:
        UserError: if nothing can listen there.
    """
    if listen is not None:
        from runtime.telemetry.prometheus import metrics_server

        say(f"metrics: {held.enter_context(metrics_server(listen, healths))}")


def _open_both(
    pending: PendingSource, open_engine: Callable[[], Engine], watchdog: Watchdog, held: ExitStack
) -> tuple[Source, Engine]:
    """Opens source and engine, the one that fails sooner first; ``held`` closes both."""
    if not pending.may_be_away:
        source = held.enter_context(pending.open())
        engine = held.enter_context(open_engine())
        watchdog.ready()
        return source, engine
    # A wrong model is reported before the wait, and the first frame does not wait for the model.
    engine = held.enter_context(open_engine())
    watchdog.ready()
    with status_line([pending.health]):
        return held.enter_context(pending.open()), engine


def _check_live(options: RunOptions, source: Source) -> None:
    """Refuses ``--give-up-after`` for a file, and ``--strict`` for other input."""
    if options.strict and source.info.live:
        raise UsageError(
            f"--strict with --input {source.info.name}: the option is for files: damage of a live source is "
            "skipped"
        )
    if options.give_up_after is not None and not source.info.live:
        raise UsageError(
            f"--give-up-after with --input {source.info.name}: this address is a file, not a live source "
            "(or add --live)"
        )


def _run(source: Source, engine: Engine, sink: SeveralSinks, notes: Notes, options: RunOptions) -> None:
    info = source.info
    detail(_details(info))
    say(f"{_describe(info)} -> {sink.name}, with {engine.info.model} ({engine.info.description})")
    with status_line([source.health]) if info.live else terminal_progress("frames", "fps") as progress:
        pipeline = Pipeline(
            source,
            engine,
            sink,
            compare=sink.wants_before,
            skip_dry=options.skip_dry,
            show_mask=options.view == "mask",
            limit=options.max_frames,
            say=notes,
            announce=say,
            progress=progress,
        )

        with on_interrupt(pipeline.stop) as interruption:
            summary = pipeline.run()
    _print_summary(summary, interrupted=interruption.happened, as_json=options.as_json)
    if interruption.happened:
        raise Interrupted(interruption.number)
    source.require_whole()
    if sink.failed:
        raise UserError(f"an output failed during the run: {sink.failed[0]}")


def _print_summary(summary: Summary, *, interrupted: bool, as_json: bool) -> None:
    say(("interrupted; " if interrupted else "") + str(summary))
    if as_json:
        sys.stdout.write(to_json(summary.to_dict()) + "\n")


def _describe(info: StreamInfo) -> str:
    """One line on the source: name, size, rate, frames."""
    facts = []
    if info.size is not None:
        facts.append(f"{info.size[1]}x{info.size[0]}")
    if info.rate is not None:
        facts.append(f"{float(info.rate):.5g} fps")
    if info.frames is not None:
        unit = "frame" if info.kind == "video" else "picture"
        facts.append(f"{info.frames} {unit}{'' if info.frames == 1 else 's'}")
    return f"{info.name} ({', '.join(facts)})" if facts else info.name


def _details(info: StreamInfo) -> str:
    """One line on how the source is stored: codec, clock, colours, sound."""
    colour, codecs = info.colour, [stream.codec_context.name for stream in info.sound]
    facts = [info.codec or info.kind, "live" if info.live else "file"]
    if info.time_base is not None:
        facts.append(f"time base {info.time_base}")
    if info.kind == "video":
        tags = f"{colour.matrix}/{colour.range}/{colour.primaries}/{colour.transfer}"
        facts.append(f"{info.chroma}, H.273 matrix/range/primaries/transfer {tags}")
    facts += [f"sound: {', '.join(codecs)}"] if codecs else []
    return f"{info.name}: {'; '.join(facts)}"
