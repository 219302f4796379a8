"""The first steps of ``granet-export trt``: a checkpoint or a model -> the ONNX model in the right precision.

Each file that the steps leave is used again where it was made from the very same one.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.commands.trt_options import TrtOptions
from export.tensorrt.source import QUANTISED, last_made, require_precision
from granet.app.console import Notes, say
from granet.app.extras import require_export_extra
from granet.app.options import CAMERA_SIZE
from granet.errors import UserError
from runtime.artefacts.artefact import Model, read_model
from runtime.artefacts.metadata import ModelMetadata
from runtime.checks.parity import budget_for
from runtime.sinks.part_file import check_file

if TYPE_CHECKING:
    from calibration.table import Table
    from export.onnx.checkpoint_file import CheckpointFile
    from export.onnx.model_step import ExportStep
    from export.onnx.quantise_step import QuantiseStep
    from export.onnx.table_step import TableStep


@dataclass(frozen=True)
class ModelSteps:
    """Export, calibrate and quantise, as far as they are needed.

    Attributes:
        source: the model that is there, or will be exported; its size is the engine's.
        metadata: what it says, or will say, of itself.
        model: the model that is there; ``None`` if it is exported.
        export: makes it; ``None`` if it is there.
        table: the calibration table that is there; ``None`` if it is made, or none is needed.
        calibrate: makes it; ``None`` if it is there, or none is needed.
        quantise: makes the model of the engine; ``None`` if that is the model itself.
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
        """Whether that model is made by a step."""
        return self.export is not None or self.quantise is not None

    def run(self) -> Model:
        """Takes the steps.

        Raises:
            ParityError: if one misses its budget.
            UserError: if one fails.
        """
        model = self.model if self.export is None else self.export.run()
        assert model is not None  # it is there or it is exported
        if self.quantise is None:
            return model
        table = self.table if self.calibrate is None else self.calibrate.run(model)
        return self.quantise.run(model, table)


def model_steps(options: TrtOptions, checkpoint: "CheckpointFile | None") -> ModelSteps:
    """What must be done until there is a model in the precision that is asked for.

    Raises:
        UsageError: for calibration of a model that is quantised already.
        UserError: for a model, a table or pictures that do not go, or another file of a name that is needed.
    """
    steps = _given(options) if checkpoint is None else _exported(options, checkpoint)
    if options.precision not in QUANTISED:
        return steps
    quantised = steps.metadata.precision == options.precision
    options.refuse(
        "--images",
        "--calibration",
        conflict=f"with {steps.source}" if quantised else None,
        why=f"the model is {options.precision} already; leave the option out",
    )
    return steps if quantised else _quantised(options, steps)


def _given(options: TrtOptions) -> ModelSteps:
    path = options.model or last_made(Path(), options.precision)
    if options.model is None:
        say(f"using {path}, the last one made here")
    model = read_model(path)
    require_precision(model, options.precision)
    return ModelSteps(path, model.metadata, model=model)


def _exported(options: TrtOptions, checkpoint: "CheckpointFile") -> ModelSteps:
    from export.onnx.export import ExportOptions, exported_metadata
    from export.onnx.model_step import ExportStep

    several = len(options.sizes) > 1 or (options.batch or 1) > 1
    wanted = ExportOptions(
        size=None if several else (*options.sizes, CAMERA_SIZE)[0],
        precision="fp16" if options.fp16 else "fp32",
        overwrite=options.overwrite,
    )
    ending = ".fp16.onnx" if options.fp16 else ".onnx"
    path = options.directory / f"{checkpoint.path.stem}{ending}"
    if path.exists() and not options.overwrite:
        found = read_model(path)
        _require_same(path, _form(found.metadata) == _form(exported_metadata(checkpoint, wanted)))
        say(f"using {path}, which was made from {checkpoint.path}")
        return ModelSteps(path, found.metadata, model=found)
    step = ExportStep(checkpoint, path, wanted, budget_for(wanted.precision))
    return ModelSteps(path, step.check(), export=step)


def _form(metadata: ModelMetadata) -> tuple[object, ...]:
    """What must be the same for an export to be used again; versions of packages may differ."""
    size = (metadata.height, metadata.width, metadata.batch)
    return (metadata.checkpoint_sha256, metadata.precision, metadata.layout, *size)


def _quantised(options: TrtOptions, steps: ModelSteps) -> ModelSteps:
    require_export_extra()
    from calibration.search.meet_budget import Judging, require_quantisable
    from calibration.table import open_table
    from export.onnx.quantise_step import QuantiseStep

    path = options.directory / f"{steps.source.stem}.{options.precision}.onnx"
    given = open_table(options.calibration) if options.calibration is not None else None
    if path.exists() and not options.overwrite:
        found = read_model(path)
        _require_same(path, _was_made_so(found, options, steps, given))
        say(f"using {path}, which was made from {steps.source}")
        return ModelSteps(path, found.metadata, model=found)
    check_file(path, (steps.source,), overwrite=options.overwrite)
    table, calibrate = (given, None) if given is not None else _table(options, steps)
    judging = Judging("tensorrt", "fp8" if options.fp8 else "int8", images=options.images)
    if steps.model is not None:
        require_quantisable(steps.model, table, judging)
    return replace(steps, table=table, calibrate=calibrate, quantise=QuantiseStep(path, judging))


def _was_made_so(found: Model, options: TrtOptions, steps: ModelSteps, table: "Table | None") -> bool:
    """Whether a quantised model was made of this one, with the table that is named or with any."""
    made = found.metadata.quantisation
    if (found.metadata.precision, made.get("target")) != (options.precision, "tensorrt"):
        return False
    if options.images is not None:  # other pictures may be meant
        return False
    if table is not None and made.get("table_sha256") != table.sha256:
        return False
    if steps.model is not None:
        return bool(made.get("model_sha256") == steps.model.sha256)
    return _form(replace(found.metadata, precision="fp32")) == _form(steps.metadata)


def _table(options: TrtOptions, steps: ModelSteps) -> "tuple[Table | None, TableStep | None]":
    """The calibration table that is there, or the step that makes it."""
    from calibration.table import open_table
    from export.onnx.table_step import TableStep
    from export.tensorrt.quantise import ADVICE, rain_pictures

    path = options.directory / f"{steps.source.stem}.calibration.json"
    if path.exists() and not options.overwrite:
        if options.images is not None:
            raise UserError(f"{path} exists: give it with --calibration, or add --overwrite to make another")
        say(f"using {path}")
        return open_table(path), None
    check_file(path, (steps.source,), overwrite=options.overwrite)
    notes = Notes()
    pictures = rain_pictures(options.images, (*options.sizes, CAMERA_SIZE)[0], notes)
    advice = ADVICE if options.images is None else ""
    return None, TableStep(path, pictures, notes, advice=advice)


def _require_same(path: Path, same: bool) -> None:
    if not same:
        raise UserError(
            f"{path} exists and is not what this engine is made from: add --overwrite to replace it, or "
            "name the engine in another directory with -o"
        )
