"""``granet-export parity``: names, shapes and types first, then values."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import onnx

from export.onnx.checkpoint_file import CheckpointFile
from export.onnx.export import note_shortfall
from export.onnx.interface import interface_difference
from granet.app.console import say
from granet.app.progress import Progress
from granet.errors import ParityError
from granet.size_rule import Size
from runtime.artefacts.artefact import Model, read_model
from runtime.artefacts.metadata import ModelMetadata
from runtime.checks.parity import ParityBudget, ParityReport, measure_parity
from runtime.checks.parity_cases import ParityCase, built_in_cases, hard_cases, pictures, sizes_for
from runtime.engines.base import Engine
from runtime.engines.remote.address import ServerAddress
from runtime.open import ENGINES, open_engine
from runtime.tensorrt.record import read_record


@dataclass(frozen=True)
class Comparison:
    """The pictures to compare a model on, and where it runs.

    Attributes:
        images: directory of rain images; ``None`` for synthetic rain.
        sizes: (height, width) to compare at; if empty, the images' own sizes, or a few.
        backend: backend of the model.
        device: device of the model; PyTorch runs on the CPU.
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
        checkpoint: the checkpoint of the model.
        model: an ONNX file, a TensorRT engine, or the address of a model on a server.
        on: the pictures, backend and device.
        budget: function from a precision to its budget.
        progress: called after each case.

    Raises:
        ParityError: if names, shapes or types differ, or the checkpoint has another network.
        UserError: if a file cannot be used or the engine is unavailable.
    """
    if ServerAddress.parse(model) is not None:
        return _of_server(checkpoint, model, on, budget, progress)
    record = read_record(model) if model.suffix.lower() in ENGINES else None
    if record is None:  # loading an engine checks it against its record
        file = read_model(model)
        metadata = file.metadata
        _check_origin(checkpoint, model, metadata)
        _check_interface(file)
    else:
        metadata = record.metadata
        _check_origin(checkpoint, model, metadata)
    # An engine takes only sizes within its profiles, not the default sizes of dynamic models.
    tuned = list(dict.fromkeys(each.opt[1:] for each in record.profiles)) if record is not None else []
    with open_engine(model, on.device, on.backend) as engine:
        return _measured(checkpoint, engine, on, tuned, budget(metadata.precision), progress)


def _of_server(
    checkpoint: CheckpointFile,
    model: Path,
    on: Comparison,
    budget: Callable[[str], ParityBudget],
    progress: Progress,
) -> ParityReport:
    """Compares a model on a server: it does not say which checkpoint it was made from, so values decide."""
    with open_engine(model, on.device, on.backend) as engine:
        return _measured(checkpoint, engine, on, (), budget(engine.info.precision), progress)


def _measured(
    checkpoint: CheckpointFile,
    engine: Engine,
    on: Comparison,
    tuned: Sequence[Size],
    limits: ParityBudget,
    progress: Progress,
) -> ParityReport:
    with open_engine(checkpoint.copy, "cpu", colour=engine.info.colour) as reference:
        cases = _cases(engine, on.images, on.sizes, tuned)
        report = measure_parity(reference, engine, cases, limits, progress)
    note_shortfall(report, engine.info.precision)
    return report


def _check_origin(checkpoint: CheckpointFile, model: Path, metadata: ModelMetadata) -> None:
    """Requires the same configuration; another file may have the same weights, so it only gets a note."""
    config = asdict(checkpoint.checkpoint.config)
    different = [name for name in config if config[name] != metadata.config.get(name)]
    if different:
        name = different[0]
        raise ParityError(
            f"{model} has another network than {checkpoint.path}: "
            f"{name} is {metadata.config.get(name)!r}, not {config[name]!r}"
        )
    if checkpoint.sha256 != metadata.checkpoint_sha256:
        say(f"note: {model} was made from {metadata.checkpoint}, another file than {checkpoint.path}")


def _check_interface(model: Model) -> None:
    difference = interface_difference(onnx.load_from_string(model.content), model.metadata)
    if difference is not None:
        raise ParityError(f"{model.path}: {difference}")


def _cases(
    engine: Engine, images: Path | None, asked: Sequence[Size], tuned: Sequence[Size]
) -> Iterable[ParityCase]:
    """Pictures at their own size if the model takes any; other cases at the requested or tuned sizes."""
    fit = engine.info.fit
    if images is None:
        return built_in_cases(fit, asked or tuned)
    sizes = sizes_for(fit, asked or tuned)
    hard = chain.from_iterable(hard_cases(size) for size in sizes)
    own_sizes = fit.height is None and not asked
    return chain(pictures(images, engine.info.colour, [] if own_sizes else sizes, say), hard)
