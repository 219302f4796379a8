"""The options of ``granet-archive``."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

from granet.app.command import Json, Options, Overwrite
from granet.app.console import UsageError
from granet.app.durations import parse_duration
from granet.app.options import Map
from granet.app.value import checked
from runtime.archive.driver import OnFailure
from runtime.archive.selection import SUFFIXES, Selection
from runtime.encoding_option import Bitrate, Codec, Crf, PixFmt, Preset, encoding_of
from runtime.model_option import BackendOption, DeviceOption, check_model_options, is_packaged_name
from runtime.sinks.video.encoding import Encoding
from runtime.telemetry.listen import Metrics, parse_listen

Workers = Annotated[
    int, typer.Option(min=1, metavar="N", help="Run N workers on this machine, or with --ray on the cluster.")
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        callback=checked(is_packaged_name),
        help="Run this model: lite or base (packaged), or a path (default: lite; on a GPU base).",
    ),
]
Tries = Annotated[int, typer.Option(min=1, metavar="N", help="Try a segment N times before giving up.")]
OnFailureOption = Annotated[
    OnFailure,
    typer.Option(
        help="After the last try stop the run, pass the segment's frames through unchanged, or leave them "
        "out. The report names every such segment."
    ),
]
Destination = Annotated[
    str,
    typer.Argument(metavar="DST", help="Directory of the results, or an address like s3://BUCKET/FOLDER."),
]


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions(Options):
    """The options of ``granet-archive SRC DST``, by their names.

    Attributes:
        renames: each ``--map``.
        as_json: ``--json``.
    """

    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A directory tree, a list of files (.txt, one path per line), a pattern in quotes, or one "
            "file; or an address of them, like s3://BUCKET/FOLDER.",
        ),
    ]
    destination: Destination
    include: Annotated[
        list[str], typer.Option(metavar="PATTERN", help="Process only files that match. Repeat for more.")
    ] = field(default_factory=list)
    exclude: Annotated[
        list[str], typer.Option(metavar="PATTERN", help="Leave out files that match. Repeat for more.")
    ] = field(default_factory=list)
    ext: Annotated[
        str | None,
        typer.Option(metavar="EXT[,EXT...]", help="Process only files with these suffixes, like mp4,dav."),
    ] = None
    workers: Workers = 1
    segment: Annotated[
        str, typer.Option(metavar="TIME", help="Cut recordings into segments of this length, like 90s or 2m.")
    ] = "60s"
    model: Model = None
    renames: Map = None
    device: DeviceOption = "auto"
    backend: BackendOption = "auto"
    codec: Codec = None
    crf: Crf = None
    preset: Preset = None
    bitrate: Bitrate = None
    pix_fmt: PixFmt = None
    skip_dry: Annotated[
        bool,
        typer.Option(
            "--skip-dry", help="Pass frames through unchanged while it does not rain; copy dry recordings."
        ),
    ] = False
    tries: Tries = 3
    on_failure: OnFailureOption = "stop"
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Run on a Ray cluster; local starts Ray on this machine with --workers."
        ),
    ] = None
    metrics: Metrics = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and an estimate; write nothing.")
    ] = False
    plan_only: Annotated[
        bool,
        typer.Option("--plan-only", help="Write the plan and stop; then start granet-archive worker."),
    ] = False
    as_json: Json = False
    overwrite: Overwrite = False

    def check(self) -> None:
        """Refuses options that the run would not use.

        Raises:
            UsageError: names the two options, or the one that is malformed.
        """
        working = ("--workers", "--tries", "--on-failure", "--ray", "--metrics", "--json", "--overwrite")
        planned = "with --plan-only" if self.plan_only else None
        estimated = "with --dry-run" if self.dry_run else None
        self.refuse(*working, "--plan-only", conflict=estimated, why="it writes nothing")
        self.refuse(*working, conflict=planned, why="it does none of the work")
        chosen = self.model is not None and not is_packaged_name(self.model)
        self.refuse(
            "--device",
            "--backend",
            conflict=f"with --plan-only and --model {self.model}" if self.plan_only and chosen else None,
            why="each worker has its own; give it to granet-archive worker",
        )
        check_model_options(self, self.model, self.device, self.backend, self.renames)
        if self.metrics is not None:
            parse_listen(self.metrics, "--metrics")
        _ = self.encoding, self.segment_seconds, self.selection

    @property
    def selection(self) -> Selection:
        """Which files of the source count.

        Raises:
            UsageError: if ``--ext`` is malformed.
        """
        return Selection(tuple(self.include), tuple(self.exclude), self._suffixes())

    @property
    def works_here(self) -> bool:
        """Whether this machine does the work."""
        return self.ray is None and not self.plan_only

    @property
    def encoding(self) -> Encoding:
        """How the results are encoded.

        Raises:
            UsageError: if an option is malformed, or two contradict each other.
        """
        return encoding_of(self.codec, self.crf, self.preset, self.bitrate, self.pix_fmt)

    @property
    def segment_seconds(self) -> float:
        """Shortest length of a segment.

        Raises:
            UsageError: if ``--segment`` is malformed or shorter than a second.
        """
        seconds = parse_duration(self.segment, "--segment")
        if seconds < 1:
            raise UsageError(f"--segment {self.segment}: give at least one second")
        return seconds

    def _suffixes(self) -> tuple[str, ...]:
        if self.ext is None:
            return SUFFIXES
        names = [name.strip().lower().removeprefix(".") for name in self.ext.split(",")]
        if not all(name and name.isalnum() for name in names):
            raise UsageError(f"--ext {self.ext}: give suffixes with commas between them, like mp4,mkv")
        return tuple(f".{name}" for name in names)


@dataclass(frozen=True, kw_only=True)
class StatusOptions(Options):
    """The options of ``granet-archive status DST``."""

    destination: Destination
    as_json: Json = False


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(Options):
    """The options of ``granet-archive worker DST``."""

    destination: Destination
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Work on share I of N, from 0 (default: JOB_COMPLETION_INDEX or SLURM_ARRAY_TASK_ID, and "
            "their number).",
        ),
    ] = None
    model: Model = None
    device: DeviceOption = "auto"
    backend: BackendOption = "auto"
    tries: Tries = 3
    on_failure: OnFailureOption = "stop"
    overwrite: Overwrite = False
