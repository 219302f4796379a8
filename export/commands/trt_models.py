"""The first steps of ``granet-export trt``: a checkpoint or a model -> an ONNX model in the right precision.

A file that an earlier run left is reused if it was made from the same input.
"""

from contextlib import suppress
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
    from export.onnx.export import ExportOptions, ExportStep
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
        table: the existing calibration table; ``None`` if there is none or it is not needed.
        calibrate: makes the table if there is none, or if it belongs to another model.
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
        return self.quantise.run(model, self._table_for(model))

    def _table_for(self, model: Model) -> "Table | None":
        if self.calibrate is None:
            return self.table
        if self.table is not None:
            if _belongs(self.table, model):
                say(f"using {self.table.path}")
                return self.table
            say(f"note: {self.table.path} belongs to another model: making {self.calibrate.output}")
        return self.calibrate.run(model)


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
        found, meant = read_model(path), exported_metadata(checkpoint, wanted)
        _require_same(path, _difference(found.metadata, meant, sized=options.shaped))
        say(f"using {path}, which was made from {checkpoint.path}")
        return ModelSteps(path, found.metadata, model=found)
    if path.exists() and not options.shaped:
        wanted = _sized_as_before(path, checkpoint, wanted)
    step = ExportStep(checkpoint, path, wanted, budget_for(wanted.precision))
    return ModelSteps(path, step.check(), export=step)


def _sized_as_before(path: Path, checkpoint: "CheckpointFile", wanted: "ExportOptions") -> "ExportOptions":
    """``wanted`` with the size of the export that it replaces: ``--overwrite`` is no other size."""
    from export.onnx.export import exported_metadata

    with suppress(UserError):  # a damaged file is replaced
        found = read_model(path).metadata
        if not _difference(found, exported_metadata(checkpoint, wanted), sized=False):
            size = None if found.height is None or found.width is None else (found.height, found.width)
            return replace(wanted, size=size)
    return wanted


def _difference(found: ModelMetadata, wanted: ModelMetadata, *, sized: bool) -> str:
    """What forbids to reuse an export, for display; empty if nothing does. Package versions may differ.

    Args:
        found: of the file.
        wanted: of the file that would be made.
        sized: whether the frames must be of the wanted size; otherwise that of the file is as good.
    """
    if found.checkpoint_sha256 != wanted.checkpoint_sha256:
        return "was made from another checkpoint"
    if found.weights.get(MAP) != wanted.weights.get(MAP):
        return "was made with another --map"
    if (found.precision, found.layout) != (wanted.precision, wanted.layout):
        return f"is {found.precision} with the layout {found.layout}"
    size = (found.height, found.width, found.batch)
    if not sized or size in ((wanted.height, wanted.width, wanted.batch), (None, None, None)):
        return ""
    return f"takes frames of {found.width}x{found.height} only, {found.batch} at a time"


def _quantised(options: TrtOptions, steps: ModelSteps) -> ModelSteps:
    require_export_extra()
    from calibration.search.meet_budget import Judging, require_quantisable
    from calibration.table import open_table
    from export.onnx.quantise_step import QuantiseStep

    path = options.directory / f"{steps.source.stem}.{options.precision}.onnx"
    table = open_table(options.calibration) if options.calibration else _table_beside(options, steps)
    if path.exists() and not options.overwrite:
        found = read_model(path)
        _require_same(path, _other_origin(found, options, steps, table))
        say(f"using {path}, which was made from {steps.source}")
        return ModelSteps(path, found.metadata, model=found)
    check_file(path, (steps.source,), overwrite=options.overwrite)
    calibrate = None if options.calibration is not None else _calibration(options, steps, table)
    judging = Judging("tensorrt", "fp8" if options.fp8 else "int8", images=options.images)
    if steps.model is not None:
        require_quantisable(steps.model, table if calibrate is None else None, judging)
    step = QuantiseStep(path, judging, overwrite=options.overwrite)
    return replace(steps, table=table, calibrate=calibrate, quantise=step)


def _other_origin(found: Model, options: TrtOptions, steps: ModelSteps, table: "Table | None") -> str:
    """What a quantised model was made from instead, for display; empty if it can be reused."""
    from calibration.search.sensitivity import ROUNDING

    made = found.metadata.quantisation
    if (found.metadata.precision, made.get("target")) != (options.precision, "tensorrt"):
        return f"is not {options.precision} for TensorRT"
    if made.get("rounding") != ROUNDING:
        return "was made by another version"
    if options.rain_source is not None:
        return "may have been made from other rain"
    if steps.model is None:
        unquantised = replace(found.metadata, precision="fp32")
        difference = _difference(unquantised, steps.metadata, sized=options.shaped)
    else:
        same = made.get("model_sha256") == steps.model.sha256
        difference = "" if same else f"was made from another model than {steps.source}"
    if not difference and table is not None and made.get("table_sha256") != table.sha256:
        return f"was made with another calibration table than {table.path}"
    return difference


def _calibration(options: TrtOptions, steps: ModelSteps, table: "Table | None") -> "TableStep | None":
    """The step that makes a table unless ``table``, which is beside the model, will do.

    ``--overwrite`` does not replace the table of this model: its rain may be the user's own.
    """
    from calibration.pictures.selection import LEAST, check_count
    from calibration.pictures.sets import DrawnPictures
    from export.onnx.table_step import PICTURES, TableStep

    path = _table_path(options, steps)
    # The model of a table can be compared only once it exists; an export over another may differ.
    if table is not None and (not options.overwrite if steps.model is None else _belongs(table, steps.model)):
        say(f"using {table.path}")
        return None
    if path.exists() and not options.overwrite:
        if table is not None:
            raise UserError(
                f"{path} belongs to another model than {steps.source}: add --overwrite to make another, or "
                "give one with --calibration"
            )
        raise UserError(f"{path} exists: give it with --calibration, or add --overwrite to make another")
    check_file(path, (steps.source,), overwrite=options.overwrite)
    notes = Notes()
    if options.rain_source is None:
        drawn = DrawnPictures((*options.sizes, CAMERA_SIZE)[0], LEAST)
        return TableStep(path, drawn, notes, advice=_ADVICE, overwrite=options.overwrite)
    pictures = options.pictures(PICTURES, notes)
    check_count(pictures, _REMEDY)
    # What the engine will meet, also if the pictures have the 12 megapixels of a phone.
    heights, widths = zip(*(options.sizes or [CAMERA_SIZE]), strict=True)
    size = (max(heights), max(widths)) if steps.metadata.height is None else None
    return TableStep(path, pictures, notes, size=size, remedy=_REMEDY, overwrite=options.overwrite)


def _table_beside(options: TrtOptions, steps: ModelSteps) -> "Table | None":
    """The table beside the model, or in the folder of the results; ``None`` if the user names other rain.

    One that belongs to another model is the answer only if there is no other.
    """
    from calibration.table import open_table

    if options.rain_source is not None:
        return None
    path = _table_path(options, steps)
    places = dict.fromkeys((steps.source.with_name(path.name), path))
    tables = [open_table(place) for place in places if place.exists()]
    own = [each for each in tables if steps.model is not None and _belongs(each, steps.model)]
    return next(iter(own + tables), None)


def _belongs(table: "Table", model: Model) -> bool:
    """Whether a calibration table was made for ``model``."""
    return table.metadata.model_sha256 == model.sha256


def _table_path(options: TrtOptions, steps: ModelSteps) -> Path:
    return options.directory / f"{steps.source.stem}.calibration.json"


def _require_same(path: Path, difference: str) -> None:
    if difference:
        raise UserError(
            f"{path} exists and {difference}: add --overwrite to replace it, or write to another directory "
            "with -o"
        )
