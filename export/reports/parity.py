"""``granet-export parity``: names, shapes and types first, then values."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import onnx

from export.onnx.checkpoint_file import CheckpointFile
from export.onnx.interface import interface_difference
from export.onnx.shortfall import note_shortfall
from granet.app.console import say
from granet.app.progress import Progress
from granet.errors import ParityError
from granet.size_rule import Size
from runtime.artefacts.artefact import Model, read_model
from runtime.artefacts.metadata import ModelMetadata
from runtime.checks.parity import ParityBudget, ParityReport, measure_parity
from runtime.checks.parity_cases import ParityCase, hard_cases, pictures, sizes_for, synthetic_rain
from runtime.engines.base import Engine
from runtime.open import ENGINES, open_engine
from runtime.tensorrt.record import read_record


@dataclass(frozen=True)
class Comparison:
    """What a model is compared on, and where it runs.

    Attributes:
        images: directory of rain images; rain drawn on a drawn street if ``None``.
        sizes: (height, width) to compare at; the images' own, or a few, if empty.
        backend: that runs the model.
        device: that it runs on; PyTorch runs on the CPU.
    """

    images: Path | None = None
    sizes: tuple[Size, ...] = ()
    backend: str = "auto"
    device: str = "auto"


def check_parity(
    checkpoint: CheckpointFile,
    model: Path,
    on: Comparison,
    budget: Callable[[str], ParityBudget],
    progress: Progress,
) -> ParityReport:
    """Compares an exported model with the network in PyTorch.

    Args:
        checkpoint: what the model was made from.
        model: the ONNX file, or a TensorRT engine.
        on: what it is compared on.
        budget: gives that of the model's precision.
        progress: called after each case.

    Raises:
        ParityError: if names, shapes or types differ, or the checkpoint is not the model's.
        UserError: if a file cannot be used or the engine is unavailable.
    """
    record = read_record(model) if model.suffix.lower() in ENGINES else None
    if record is None:  # an engine is held against its record when it is loaded
        file = read_model(model)
        metadata = file.metadata
        _check_origin(checkpoint, model, metadata)
        _check_interface(file)
    else:
        metadata = record.metadata
        _check_origin(checkpoint, model, metadata)
    # An engine takes what is within its profiles, and not the sizes that any other dynamic model is tried at.
    tuned = list(dict.fromkeys(each.opt[1:] for each in record.profiles)) if record is not None else []
    limits = budget(metadata.precision)
    with (
        open_engine(model, on.device, on.backend) as engine,
        open_engine(checkpoint.copy, "cpu", colour=engine.info.colour) as reference,
    ):
        cases = _cases(engine, on.images, on.sizes, tuned)
        report = measure_parity(reference, engine, cases, limits, progress)
    note_shortfall(report, metadata.precision)
    return report


def _check_origin(checkpoint: CheckpointFile, model: Path, metadata: ModelMetadata) -> None:
    """The configuration must be the same; another file with the same weights may be meant."""
    config = asdict(checkpoint.checkpoint.config)
    different = [name for name in config if config[name] != metadata.config.get(name)]
    if different:
        name = different[0]
        raise ParityError(
            f"{model} is of another network than {checkpoint.path}: "
            f"{name} is {metadata.config.get(name)!r}, not {config[name]!r}"
        )
    if checkpoint.sha256 != metadata.checkpoint_sha256:
        say(f"note: {model} was made from another file, {metadata.checkpoint}, than {checkpoint.path}")


def _check_interface(model: Model) -> None:
    difference = interface_difference(onnx.load_from_string(model.content), model.metadata)
    if difference is not None:
        raise ParityError(f"{model.path}: {difference}")


def _cases(
    engine: Engine, images: Path | None, asked: Sequence[Size], tuned: Sequence[Size]
) -> Iterable[ParityCase]:
    """Pictures at their own size where that goes; all else at the sizes asked for or tuned for."""
    fit = engine.info.fit
    sizes = sizes_for(fit, asked or tuned)
    hard = chain.from_iterable(hard_cases(size) for size in sizes)
    if images is None:
        return chain(chain.from_iterable(synthetic_rain(size, count=8) for size in sizes), hard)
    own_sizes = fit.height is None and not asked
    return chain(pictures(images, engine.info.colour, [] if own_sizes else sizes, say), hard)
