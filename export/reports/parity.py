"""``granet-export parity``: names, shapes and types first, then values."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import onnx

from export.onnx.interface import interface_difference
from granet.app.console import say
from granet.checkpoint import read_checkpoint
from granet.errors import ParityError
from granet.size_rule import Size
from runtime.artefacts.manifest import sha256_of
from runtime.artefacts.metadata import ModelMetadata
from runtime.artefacts.onnx_file import read_metadata
from runtime.checks.parity import CaseParity, ParityReport, budget_for, measure_parity
from runtime.checks.parity_cases import ParityCase, hard_cases, pictures, sizes_for, synthetic_rain
from runtime.engines.base import Engine
from runtime.open import ENGINES, open_engine
from runtime.tensorrt.record import read_record


def check_parity(
    checkpoint: Path,
    model: Path,
    images: Path | None,
    sizes: Sequence[Size],
    backend: str,
    device: str,
    overrides: Mapping[str, float | None],
    progress: Callable[[CaseParity], None],
) -> ParityReport:
    """Holds an exported model against the network in PyTorch.

    Args:
        checkpoint: what the model was made from.
        model: the ONNX file, or a TensorRT engine.
        images: directory of rain images; rain drawn on a drawn street if ``None``.
        sizes: (height, width) to compare at; the images' own, or a few, if empty.
        backend: that runs the model.
        device: that it runs on; PyTorch runs on the CPU.
        overrides: of the budget of the model's precision, by field; ``None`` leaves it.
        progress: called after each case.

    Raises:
        ParityError: if names, shapes or types differ, or the checkpoint is not the model's.
        UserError: if a file cannot be used or the engine is not to be had.
    """
    record = read_record(model) if model.suffix.lower() in ENGINES else None
    metadata = read_metadata(model) if record is None else record.metadata
    _check_origin(checkpoint, model, metadata)
    if record is None:  # an engine is held against its record when it is loaded
        _check_interface(model, metadata)
    # An engine takes what is within its profiles, and not the sizes that any other dynamic model is tried at.
    tuned = list(dict.fromkeys(each.opt[1:] for each in record.profiles)) if record is not None else []
    budget = budget_for(metadata.precision, **overrides)
    with (
        open_engine(model, device, backend) as engine,
        open_engine(checkpoint, "cpu", colour=engine.info.colour) as reference,
    ):
        return measure_parity(reference, engine, _cases(engine, images, sizes, tuned), budget, progress)


def _check_origin(checkpoint: Path, model: Path, metadata: ModelMetadata) -> None:
    """The configuration must be the same; another file with the same weights may be meant."""
    config = asdict(read_checkpoint(checkpoint).config)
    different = [name for name in config if config[name] != metadata.config.get(name)]
    if different:
        name = different[0]
        raise ParityError(
            f"{model} is of another network than {checkpoint}: "
            f"{name} is {metadata.config.get(name)!r}, not {config[name]!r}"
        )
    if sha256_of(checkpoint) != metadata.checkpoint_sha256:
        say(f"note: {model} was made from {metadata.checkpoint} and not from this very {checkpoint}")


def _check_interface(path: Path, metadata: ModelMetadata) -> None:
    difference = interface_difference(onnx.load(path, load_external_data=False), metadata)
    if difference is not None:
        raise ParityError(f"{path}: {difference}")


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
