"""Measures a device: speed, memory, parity and the state of the device, in one report.

The report names no host, user or directory; of a file only the last part of its path.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import granet
from granet.app.progress import Progress, no_progress
from granet.app.run_details import PACKAGES
from granet.size_rule import Size
from granet.weights.file_names import is_checkpoint
from runtime.artefacts.manifest import sha256_of
from runtime.artefacts.onnx_file import read_metadata
from runtime.checks.bench import BenchReport, BenchSubject, measure_bench
from runtime.checks.device_state import (
    DeviceState,
    Gpu,
    device_state,
    gpus,
    operating_system,
    power_modes,
)
from runtime.checks.end_to_end import measure_end_to_end
from runtime.checks.machine import Machine, this_machine
from runtime.checks.parity import ParityReport, budget_for, measure_parity
from runtime.checks.parity_cases import built_in_cases
from runtime.engines.base import EngineInfo
from runtime.models.packaged import packaged_origin
from runtime.open import ENGINES, open_engine
from runtime.telemetry.summary import Summary
from runtime.tensorrt.record import read_record

FORMAT = 1
"""Version of the JSON."""

DEFAULT_SIZES: tuple[Size, ...] = ((480, 640), (720, 1280))

PARITY_PICTURES = 4
"""Drawn pictures of each size that parity is measured on."""


@dataclass(frozen=True)
class FieldModel:
    """One of the models.

    Attributes:
        file: file name.
        sha256: SHA-256 of the file, hexadecimal.
        bytes: size of the file.
        checkpoint_sha256: SHA-256 of the checkpoint that it was made from; its own if it is a checkpoint.
        engine: description of the engine with versions, device, precision and sizes.
        backend: the backend that ran it.
        device: the device that it ran on.
        precision: precision in the model's metadata.
        parity: the JSON of ``granet-export parity``; ``None`` if parity was not measured.
        no_parity: why parity was not measured; empty if it was.
    """

    file: str
    sha256: str
    bytes: int
    checkpoint_sha256: str
    engine: str
    backend: str
    device: str
    precision: str
    parity: dict[str, Any] | None
    no_parity: str = ""


@dataclass(frozen=True)
class FieldSize:
    """The speed of all models at one size.

    Attributes:
        bench: comparison of the engines alone.
        end_to_end: summary of a run from an H.264 file to an H.264 file, for each model.
    """

    bench: BenchReport
    end_to_end: tuple[Summary, ...]


@dataclass(frozen=True)
class FieldReport:
    """The report.

    Attributes:
        version: version of granet-deploy.
        machine: processor, memory, and the versions of packages.
        system: board, operating system and Jetson Linux, each if the system names it.
        power: power settings, by the tool or file that sets them.
        gpus: NVIDIA's GPUs.
        at_rest: the device before the measurement.
        under_load: the device directly after the last frame.
        models: results of the models, in the requested order.
        sizes: results of the sizes, in the requested order.
        format: version of this format.
    """

    version: str
    machine: Machine
    system: dict[str, str]
    power: dict[str, str]
    gpus: tuple[Gpu, ...]
    at_rest: DeviceState
    under_load: DeviceState
    models: tuple[FieldModel, ...]
    sizes: tuple[FieldSize, ...]
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values; sizes are [height, width]."""
        return asdict(self)

    def misses(self) -> list[str]:
        """One text per model that missed its parity budget."""
        return [
            f"{model.file}: {'; '.join(model.parity['misses'])}"
            for model in self.models
            if model.parity is not None and model.parity["misses"]
        ]


def measure_field(
    subjects: Sequence[BenchSubject],
    sizes: Sequence[Size],
    frames: int,
    warm_up: int,
    checkpoint: Path | None = None,
    progress: Progress = no_progress,
) -> FieldReport:
    """Measures the models on this device.

    Args:
        subjects: the models; at least one.
        sizes: (height, width) in pixels; empty for those of static models, else :data:`DEFAULT_SIZES`.
        frames: timed frames of each engine and size, and frames of each clip.
        warm_up: untimed frames before those.
        checkpoint: the checkpoint of the models; ``None`` for the packaged one if its hash matches.
        progress: called after each step.

    Raises:
        UserError: if a model cannot be opened or run.
    """
    at_rest = device_state()
    infos = [_info(subject) for subject in subjects]
    # A reference that cannot be opened must not end the run after its measurements.
    references = [_reference(*pair, checkpoint) for pair in zip(subjects, infos, strict=True)]
    asked = list(sizes) or _own_sizes(infos)
    total = len(asked) * (1 + len(subjects)) + len(subjects)
    steps = iter(range(1, total + 1))
    measured = []
    for size in asked:
        bench = measure_bench(subjects, size, frames, warm_up)
        progress(next(steps), total, "engine alone")
        runs = []
        for subject in subjects:
            with open_engine(subject.model, subject.device, subject.backend) as engine:
                runs.append(measure_end_to_end(engine, size, frames))
            progress(next(steps), total, "end to end")
        measured.append(FieldSize(bench, tuple(runs)))
    under_load = device_state()
    models = []
    for subject, info, reference in zip(subjects, infos, references, strict=True):
        models.append(_model(subject, info, reference))
        progress(next(steps), total, "parity")
    return FieldReport(
        version=granet.__version__,
        machine=this_machine(*PACKAGES),
        system=operating_system(),
        power=power_modes(),
        gpus=gpus(),
        at_rest=at_rest,
        under_load=under_load,
        models=tuple(models),
        sizes=tuple(measured),
    )


def _info(subject: BenchSubject) -> EngineInfo:
    with open_engine(subject.model, subject.device, subject.backend) as engine:
        return engine.info


def _own_sizes(infos: Sequence[EngineInfo]) -> list[Size]:
    fits = [info.fit for info in infos]
    own = [(fit.height, fit.width) for fit in fits if fit.height is not None and fit.width is not None]
    return list(dict.fromkeys(own)) or list(DEFAULT_SIZES)


def _model(subject: BenchSubject, info: EngineInfo, reference: Path | str) -> FieldModel:
    path = subject.model
    report = None if isinstance(reference, str) else _parity(subject, info, reference)
    return FieldModel(
        file=path.name,
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        checkpoint_sha256=_made_from(path),
        engine=info.description,
        backend=info.backend,
        device=info.device,
        precision=info.precision,
        parity=None if report is None else report.to_json(),
        no_parity=reference if isinstance(reference, str) else "",
    )


def _made_from(path: Path) -> str:
    """SHA-256 of the checkpoint that a model was made from; its own if it is a checkpoint."""
    if is_checkpoint(path):
        return sha256_of(path)
    metadata = read_record(path).metadata if path.suffix.lower() in ENGINES else read_metadata(path)
    return metadata.checkpoint_sha256


def _reference(subject: BenchSubject, info: EngineInfo, checkpoint: Path | None) -> Path | str:
    """The reference for the parity of a model, or the reason why there is none.

    Raises:
        UserError: if the reference cannot be opened.
    """
    path = subject.model
    if is_checkpoint(path):
        return "a checkpoint is the reference itself"
    found = _packaged_reference(path) if checkpoint is None else checkpoint
    if isinstance(found, str):
        return found
    with open_engine(found, "cpu", colour=info.colour) as opened:
        if opened.info.colour != info.colour:
            return f"{found.name} takes another order of colours, and PyTorch is not installed here"
    return found


def _packaged_reference(path: Path) -> Path | str:
    packaged = packaged_origin(_made_from(path))
    if packaged is None:
        return "the checkpoint that it was made from was not given (--ckpt)"
    if find_spec("torch") is not None and find_spec("safetensors") is not None:
        return packaged
    # An edge device has no PyTorch. The packaged float32 model was compared with it when it was exported.
    float32 = packaged.with_suffix(".onnx")
    return float32 if path.resolve() != float32 else "PyTorch is not installed here"


def _parity(subject: BenchSubject, info: EngineInfo, reference: Path) -> ParityReport:
    tuned: list[Size] = []
    if subject.model.suffix.lower() in ENGINES:
        profiles = read_record(subject.model).profiles
        tuned = list(dict.fromkeys((profile.opt[1], profile.opt[2]) for profile in profiles))
    with (
        open_engine(subject.model, subject.device, subject.backend) as engine,
        open_engine(reference, "cpu", colour=info.colour) as expected,
    ):
        cases = built_in_cases(info.fit, tuned, PARITY_PICTURES)
        return measure_parity(expected, engine, cases, budget_for(info.precision))
