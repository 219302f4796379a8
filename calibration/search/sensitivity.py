"""What quantising each layer alone costs, and a record of it that can be continued and used again."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from calibration.pictures.selection import pixels_sha256
from calibration.qdq.quantiser import Quantiser
from calibration.search.quality import Judge
from calibration.simulation import Simulation
from granet.errors import UserError
from runtime.artefacts.metadata import ModelMetadata
from runtime.sinks.part_file import PartFile

FORMAT = 1

Progress = Callable[[int, str], None]
"""Is told how many layers are done and the name of the last."""


@dataclass(frozen=True)
class Sensitivity:
    """The noise that each layer's quantisation makes alone.

    Attributes:
        key: what was measured: hashes of model and table, target, precision, and the pictures' hashes.
        multiplications: of each layer for one picture.
        noise: layer -> its noise power on each picture, squared grey levels of luminance. Layers that
            were not measured yet are missing.
    """

    key: dict[str, Any]
    multiplications: Mapping[str, int]
    noise: Mapping[str, Sequence[float]]

    @property
    def order(self) -> list[str]:
        """The layers that are measured, those first whose keeping saves most noise for its arithmetic."""
        return sorted(
            self.noise, key=lambda name: -sum(self.noise[name]) / max(self.multiplications[name], 1)
        )

    def share(self, names: Sequence[str]) -> float:
        """Share of the convolutions' arithmetic that some layers hold."""
        return sum(self.multiplications[name] for name in names) / sum(self.multiplications.values())


def sensitivity_key(
    quantiser: Quantiser, judge: Judge, model_sha256: str, table_sha256: str
) -> dict[str, Any]:
    """What a record belongs to."""
    return {
        "model_sha256": model_sha256,
        "table_sha256": table_sha256,
        "target": quantiser.target,
        "precision": quantiser.precision,
        "pictures": [pixels_sha256(example.rainy) for example in judge.examples],
    }


def measure_sensitivity(
    quantiser: Quantiser,
    metadata: ModelMetadata,
    judge: Judge,
    known: Sensitivity,
    names: Sequence[str],
    save: Callable[[Sensitivity], None] = lambda record: None,
    progress: Progress = lambda done, last: None,
) -> Sensitivity:
    """Measures those of the layers ``names`` that ``known`` lacks.

    Args:
        quantiser: of the model.
        metadata: of the model.
        judge: the pictures.
        known: what was measured before; of the same key.
        names: of layers.
        save: is given the record after each layer.
        progress: called after each layer.

    Raises:
        UserError: if a tensor has no range, or the model cannot be run.
    """
    record = known
    for done, name in enumerate(names, 1):
        if name not in record.noise:
            noise = judge.noise(Simulation(quantiser.alone(name), metadata))
            record = replace(record, noise={**record.noise, name: noise})
            save(record)
        progress(done, name)
    return record


def write_sensitivity(path: Path, record: Sensitivity) -> None:
    """Writes ``record``, whole or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    part = PartFile(path)
    try:
        part.path.write_text(json.dumps({"format": FORMAT, **asdict(record)}, indent=1) + "\n")
        part.commit()
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        part.discard()


def read_sensitivity(path: Path, key: Mapping[str, Any]) -> Sensitivity:
    """Reads what :func:`write_sensitivity` wrote.

    Raises:
        UserError: if it cannot be read, is damaged, or is of another model, table or other pictures.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise UserError(f"{path}: format {record['format']!r}, this version reads {FORMAT}: remove it")
        found = Sensitivity(
            dict(record["key"]),
            {str(name): int(count) for name, count in record["multiplications"].items()},
            {str(name): [float(x) for x in powers] for name, powers in record["noise"].items()},
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: not a sensitivity file, or a damaged one: remove it") from error
    different = [name for name in key if found.key.get(name) != key[name]]
    if different:
        raise UserError(
            f"{path} was measured with another {different[0].replace('_sha256', '')}: "
            "remove it, or give another name"
        )
    return found
