"""The noise of each layer quantised alone, and the fewest layers to keep so that the drop is within a budget.

The noise is in a record that can be resumed and reused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from calibration.pictures.selection import pixels_sha256
from calibration.qdq.quantiser import Quantiser
from calibration.search.quality import Judge
from calibration.simulation import Simulation
from granet.app.files import write_atomically
from granet.app.progress import Progress, no_progress
from granet.app.schema import Finite, JsonFile, to_json
from granet.errors import UserError
from runtime.artefacts.metadata import ModelMetadata

FORMAT = 1

ROUNDING = "equalised, gptq"
"""How weights are scaled and rounded (:mod:`calibration.qdq.equalise`, :mod:`calibration.qdq.gptq`). Earlier
versions recorded ``gptq`` or, where they rounded to the nearest step, nothing."""


@dataclass(frozen=True)
class Sensitivity:
    """The noise of each layer when only that layer is quantised.

    Attributes:
        key: inputs of the measurement: hashes of model, table and pictures, target, precision,
            rounding.
        multiplications: layer -> number of multiplications for one picture.
        noise: layer -> noise power on each picture, in squared grey levels of luminance. Layers that
            have not been measured yet are missing.
    """

    key: dict[str, Any]
    multiplications: Mapping[str, int]
    noise: Mapping[str, Sequence[Finite]]

    @property
    def order(self) -> list[str]:
        """The measured layers, ordered by noise per multiplication, highest first."""
        return sorted(
            self.noise, key=lambda name: -sum(self.noise[name]) / max(self.multiplications[name], 1)
        )

    def share(self, names: Sequence[str]) -> float:
        """Share of these layers in the arithmetic of all convolutions."""
        return sum(self.multiplications[name] for name in names) / sum(self.multiplications.values())


_FILE = JsonFile(Sensitivity, "sensitivity file", "remove it", FORMAT)


def sensitivity_key(
    quantiser: Quantiser, judge: Judge, model_sha256: str, table_sha256: str
) -> dict[str, Any]:
    """The key of a record: the inputs of the measurement."""
    return {
        "model_sha256": model_sha256,
        "table_sha256": table_sha256,
        "target": quantiser.target,
        "precision": quantiser.precision,
        "rounding": ROUNDING,
        "pictures": [pixels_sha256(example.rainy) for example in judge.examples],
    }


def measure_sensitivity(
    quantiser: Quantiser,
    metadata: ModelMetadata,
    judge: Judge,
    known: Sensitivity,
    names: Sequence[str],
    save: Callable[[Sensitivity], None] = lambda record: None,
    progress: Progress = no_progress,
) -> Sensitivity:
    """Measures the layers in ``names`` that are missing from ``known``.

    Args:
        quantiser: quantiser of the model.
        metadata: metadata of the model.
        judge: the pictures.
        known: earlier measurements with the same key.
        names: names of the layers.
        save: called with the record after each layer.
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
        progress(done, len(names), name)
    return record


def write_sensitivity(path: Path, record: Sensitivity) -> None:
    """Atomically writes ``record``.

    Raises:
        UserError: if it cannot be written.
    """
    write_atomically(path, (to_json(_FILE.values(record), indent=1) + "\n").encode())


def read_sensitivity(path: Path, key: Mapping[str, Any]) -> Sensitivity:
    """Reads a record of :func:`write_sensitivity`.

    Raises:
        UserError: if it cannot be read, is damaged, or has another key.
    """
    found = _FILE.read(path)
    different = [name for name in key if found.key.get(name) != key[name]]
    if different:
        raise UserError(
            f"{path} was measured with another {different[0].replace('_sha256', '')}: "
            "remove it, or choose another name"
        )
    return found


Within = Callable[[frozenset[str]], bool]
"""Runs a model that keeps these layers; returns whether it is within the budget."""


def fewest_kept(order: Sequence[str], always: frozenset[str], within: Within) -> frozenset[str] | None:
    """Finds the shortest prefix of ``order`` that meets the budget if kept.

    The noise of layers nearly adds up, so keeping more of them never hurts, and bisection needs only
    log2(n) runs of a model. With an order by noise per multiplication the prefix has the least arithmetic,
    as in the knapsack problem.

    Args:
        order: layers, most worth keeping first.
        always: layers that are always kept.
        within: tests a set of kept layers.

    Returns:
        The layers to keep, including ``always``; ``None`` if even keeping all misses the budget.
    """
    layers = [name for name in order if name not in always]
    low, high = 0, len(layers)
    if not within(always | frozenset(layers)):
        return None
    while low < high:
        middle = (low + high) // 2
        if within(always | frozenset(layers[:middle])):
            high = middle
        else:
            low = middle + 1
    return always | frozenset(layers[:low])
