"""The first steps of ``granet-export trt``: a checkpoint or a model -> an ONNX model in the right precision.

A file that an earlier run left is reused if it was made from the same input.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.commands.trt_options import CALIBRATION, TrtOptions
from export.tensorrt.source import QUANTISED, require_precision
from granet.app.console import Notes, say
from granet.app.extras import require_export_extra
from granet.app.options import CAMERA_SIZE
from granet.errors import UserError
from granet.weights.file_names import base_name
from runtime.artefacts.artefact import Model, read_model
from runtime.artefacts.metadata import MAP, ModelMetadata
from runtime.checks.parity import budget_for
from runtime.sinks.part_file import check_file

if TYPE_CHECKING:
    from calibration.table import Table
    from export.onnx.checkpoint_file import CheckpointFile
    from export.onnx.export import ExportStep
    from export.onnx.quantise_step import QuantiseStep
    from export.onnx.table_step import TableStep

_ADVICE = "calibrating on synthetic rain; pictures of your own (--images) give a better engine"

_REMEDY = (
    "add rain (--images, --video, --data or --synthesise), or make a table with granet-export calibrate "
    "--force and give it with --calibration"
)


@dataclass(frozen=True)
class ModelSteps:
    """Export, calibrate and quantise, as needed.

    Attributes:
        source: the unquantised model, which exists or will be exported; the engine has its size.
        metadata: metadata of that model.
        model: the existing model; ``None`` if it will be exported.
        export: exports the model; ``None`` if it exists.
        table: the existing calibration table; ``None`` if it will be made or is not needed.
        calibrate: makes the table; ``None`` if it exists or is not needed.
        quantise: makes the quantised model; ``None`` if it exists or is not needed.
    """

    source: Path
    metadata: ModelMetadata
    model: Model | None = None
    export: "ExportStep | None" = None
    table: "Table | None" = None
    calibrate: "TableStep | None" = None
    quantise: "QuantiseStep | None" = None

    @property
    def output(self) -> Path:
        """The model that the engine is built from."""
        return self.source if self.quantise is None else self.quantise.output

    @property
    def made_here(self) -> bool:
        """Whether a step makes that model."""
        return self.export is not None or self.quantise is not None

    def with_rain_checked(self) -> "ModelSteps":
        """The same steps, after the user's rain pictures were measured: what is too dry is refused now.

        Raises:
            UserError: if the pictures are too few or dry, or one cannot be read.
        """
        if self.calibrate is None or self.calibrate.advice:  # drawn rain is rain
            return self
        return replace(self, calibrate=self.calibrate.measured(self.metadata))

    def run(self) -> Model:
        """Runs the steps.

        Raises:
            ParityError: if a step misses its budget.
            UserError: if a step fails.
        """
        model = self.model if self.export is None else self.export.run()
        assert model is not None  # it exists or was just exported
        if self.quantise is None:
            return model
        table = self.table if self.calibrate is None else self.calibrate.run(model)
        return self.quantise.run(model, table)


def model_steps(options: TrtOptions, checkpoint: "CheckpointFile | None") -> ModelSteps:
    """Plans the steps to a model in the requested precision.

    Raises:
        UsageError: if calibration is requested for a quantised model.
        UserError: if a model, a table or the pictures cannot be used, or an output file exists.
    """
    if checkpoint is not None:
        steps = _exported(options, checkpoint)
    else:
        assert options.model is not None  # see TrtOptions.check
        model = read_model(options.model)
        require_precision(model, options.precision)
        steps = ModelSteps(model.path, model.metadata, model=model)
    if options.precision not in QUANTISED:
        return steps
    quantised = steps.metadata.precision == options.precision
    options.refuse(
        *CALIBRATION,
        conflict=f"with {steps.source}" if quantised else None,
        why=f"the model is already {options.precision}; leave the option out",
    )
    return steps if quantised else _quantised(options, steps)


def _exported(options: TrtOptions, checkpoint: "CheckpointFile") -> ModelSteps:
    from export.onnx.export import ExportOptions, ExportStep, exported_metadata

    several = len(options.sizes) > 1 or (options.batch or 1) > 1
    wanted = ExportOptions(
        size=None if several else (*options.sizes, CAMERA_SIZE)[0],
        precision="fp16" if options.fp16 else "fp32",
        overwrite=options.overwrite,
    )
    ending = ".fp16.onnx" if options.fp16 else ".onnx"
    path = options.directory / f"{base_name(checkpoint.path)}{ending}"
    if path.exists() and not options.overwrite:
        found = read_model(path)
        _require_same(path, _form(found.metadata) == _form(exported_metadata(checkpoint, wanted)))
        say(f"using {path}, which was made from {checkpoint.path}")
        return ModelSteps(path, found.metadata, model=found)
    step = ExportStep(checkpoint, path, wanted, budget_for(wanted.precision))
    return ModelSteps(path, step.check(), export=step)


def _form(metadata: ModelMetadata) -> tuple[object, ...]:
    """The facts that must match to reuse an export; package versions may differ."""
    size = (metadata.height, metadata.width, metadata.batch)
    weights = (metadata.checkpoint_sha256, tuple(metadata.weights.get(MAP, ())))
    return (*weights, metadata.precision, metadata.layout, *size)


def _quantised(options: TrtOptions, steps: ModelSteps) -> ModelSteps:
    require_export_extra()
    from calibration.search.meet_budget import Judging, require_quantisable
    from calibration.table import open_table
    from export.onnx.quantise_step import QuantiseStep

    path = options.directory / f"{steps.source.stem}.{options.precision}.onnx"
    given = open_table(options.calibration) if options.calibration is not None else None
    beside = _table_path(options, steps)
    if path.exists() and not options.overwrite:
        found = read_model(path)
        table = open_table(beside) if given is None and beside.exists() else given
        _require_same(path, _was_made_so(found, options, steps, table))
        say(f"using {path}, which was made from {steps.source}")
        return ModelSteps(path, found.metadata, model=found)
    check_file(path, (steps.source,), overwrite=options.overwrite)
    table, calibrate = (given, None) if given is not None else _table(options, steps)
    judging = Judging("tensorrt", "fp8" if options.fp8 else "int8", images=options.images)
    if steps.model is not None:
        require_quantisable(steps.model, table, judging)
    step = QuantiseStep(path, judging, overwrite=options.overwrite)
    return replace(steps, table=table, calibrate=calibrate, quantise=step)


def _was_made_so(found: Model, options: TrtOptions, steps: ModelSteps, table: "Table | None") -> bool:
    """Whether a quantised model was made from this model, and from ``table`` if there is one."""
    from calibration.search.sensitivity import ROUNDING

    made = found.metadata.quantisation
    if (found.metadata.precision, made.get("target")) != (options.precision, "tensorrt"):
        return False
    if made.get("rounding") != ROUNDING:  # of an earlier version
        return False
    if options.rain_source is not None:  # the user may want other pictures
        return False
    if table is not None and made.get("table_sha256") != table.sha256:
        return False
    if steps.model is not None:
        return bool(made.get("model_sha256") == steps.model.sha256)
    return _form(replace(found.metadata, precision="fp32")) == _form(steps.metadata)


def _table(options: TrtOptions, steps: ModelSteps) -> "tuple[Table | None, TableStep | None]":
    """The existing calibration table, or the step that makes it."""
    from calibration.pictures.selection import LEAST, check_count
    from calibration.pictures.sets import DrawnPictures
    from calibration.table import open_table
    from export.onnx.table_step import PICTURES, TableStep

    path = _table_path(options, steps)
    if path.exists() and not options.overwrite:
        if options.rain_source is not None:
            raise UserError(f"{path} exists: give it with --calibration, or add --overwrite to make another")
        say(f"using {path}")
        return open_table(path), None
    check_file(path, (steps.source,), overwrite=options.overwrite)
    notes = Notes()
    if options.rain_source is None:
        drawn = DrawnPictures((*options.sizes, CAMERA_SIZE)[0], LEAST)
        return None, TableStep(path, drawn, notes, advice=_ADVICE, overwrite=options.overwrite)
    pictures = options.pictures(PICTURES, notes)
    check_count(pictures, _REMEDY)
    # What the engine will meet, also if the pictures have the 12 megapixels of a phone.
    heights, widths = zip(*(options.sizes or [CAMERA_SIZE]), strict=True)
    size = (max(heights), max(widths)) if steps.metadata.height is None else None
    return None, TableStep(path, pictures, notes, size=size, remedy=_REMEDY, overwrite=options.overwrite)


def _table_path(options: TrtOptions, steps: ModelSteps) -> Path:
    return options.directory / f"{steps.source.stem}.calibration.json"


def _require_same(path: Path, same: bool) -> None:
    if not same:
        raise UserError(
            f"{path} exists and was made from something else, or by an earlier version: add --overwrite to "
            "replace it, or write to another directory with -o"
        )
