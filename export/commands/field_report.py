"""``granet-export field-report``: what a device can do, for its owner and for the documentation."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from granet.app.command import Json, Options, Overwrite
from granet.app.console import UsageError, say
from granet.app.files import write_atomically
from granet.app.options import parse_size
from granet.app.progress import terminal_progress
from granet.app.schema import to_json
from granet.errors import ParityError
from granet.size_rule import Size
from granet.weights.file_names import is_checkpoint
from granet.weights.packaged import named_checkpoint
from runtime.engines.remote.address import ServerAddress
from runtime.model_option import BackendOption, DeviceOption

NAMED_SIZES: dict[str, Size] = {
    "vga": (480, 640),
    "720p": (720, 1280),
    "1080p": (1080, 1920),
    "4k": (2160, 3840),
}


@dataclass(frozen=True, kw_only=True)
class FieldReportOptions(Options):
    """Options of ``granet-export field-report``."""

    results: ClassVar[tuple[str, ...]] = (".html", ".htm")

    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="Packaged models by name (lite, base), ONNX models, engines and checkpoints.",
        ),
    ]
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a web page in one file (default: none).")
    ] = None
    size: Annotated[
        list[str] | None,
        typer.Option(
            "--size",
            metavar="WxH",
            help="Measure frames of WxH, vga, 720p, 1080p or 4k. Repeat for more (default: that of static "
            "models, or vga and 720p).",
        ),
    ] = None
    ckpt: Annotated[
        Path | None,
        typer.Option(
            parser=named_checkpoint,
            help="Check parity with the checkpoint that the models were made from (default: the packaged "
            "one, if it is theirs).",
        ),
    ] = None
    backend: BackendOption = "auto"
    device: DeviceOption = "auto"
    frames: Annotated[int, typer.Option(min=2, help="Time N frames of each engine and size.")] = 30
    warm_up: Annotated[int, typer.Option("--warm-up", min=0, help="Run N frames of each first.")] = 5
    overwrite: Overwrite = False
    as_json: Json = False

    def check(self) -> None:
        """Refuses unused options, and an output that cannot be written, before minutes of measurement.

        Raises:
            UsageError: names the two options, or says that the name of the output is not that of a web page.
            UserError: if the output cannot be written there.
        """
        from runtime.sinks.part_file import check_file

        without = "without --output" if self.output is None else None
        self.refuse("--overwrite", conflict=without, why="there is no file to replace; leave it out")
        only_checkpoints = all(is_checkpoint(Path(model)) for model in self.models)
        self.refuse(
            "--ckpt",
            conflict=f"with {self.models[0]}" if only_checkpoints else None,
            why="a checkpoint is the reference itself; leave the option out",
        )
        if self.output is None:
            return
        if self.output.suffix.lower() not in self.results:
            raise UsageError(
                f"--output {self.output}: is a web page, so its name must end in .html; JSON goes to stdout "
                "with --json"
            )
        check_file(self.output, (), overwrite=self.overwrite)


def field_report(options: FieldReportOptions) -> None:
    """Measure what this device can do.

    The report holds the speed of the engine alone and from file to file, memory, power mode, clocks,
    temperatures, parity, hashes and versions, and no names of hosts or users. Exit status 3 if a model misses
    its parity budget.
    """
    from export.reports.field_page import field_page
    from export.reports.field_report import measure_field
    from export.reports.field_table import print_field
    from runtime.checks.bench import pair
    from runtime.model_option import model_path

    options.check()
    sizes = [_size(text) for text in options.size or []]
    _require_files(options.models)
    paths = [model_path(text, options.device, options.backend, "MODEL") for text in options.models]
    _require_names(paths)
    subjects = pair(paths, [options.backend], options.device, say)
    with terminal_progress("field report") as progress:
        report = measure_field(subjects, sizes, options.frames, options.warm_up, options.ckpt, progress)
    if options.output is not None:
        write_atomically(options.output, field_page(report).encode(), overwrite=options.overwrite)
        say(f"{options.output}: written")
    if options.as_json:
        sys.stdout.write(to_json(report.to_json(), indent=2) + "\n")
    else:
        print_field(report)
    if report.misses():
        raise ParityError(f"parity missed: {'; '.join(report.misses())}")


def _require_files(models: Sequence[str]) -> None:
    """Refuses a model on a server, whose file and device are not here."""
    for model in models:
        if ServerAddress.parse(model) is not None:
            raise UsageError(f"MODEL {model}: the report describes this device: run it on the server")


def _require_names(paths: Sequence[Path]) -> None:
    """Refuses two models of one name: a report that others read has no folders to tell them apart."""
    (name, count), *_ = Counter(path.name for path in paths).most_common(1)
    if count > 1:
        raise UsageError(f"MODEL {name}: two models have this name, and a report has no folders: rename one")


def _size(text: str) -> Size:
    return NAMED_SIZES.get(text.lower()) or parse_size(text)
