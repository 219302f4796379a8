"""Validation during training: mean PSNR on the validation data, by both metrics."""

from collections.abc import Callable, Sequence

from granet.data.datasets import Dataset, Pair
from granet.data.image_files import Pixels
from granet.errors import UserError
from granet.evaluation.metrics import METRICS, Scores, score
from granet.size_rule import SizeRule
from granet.training.processes import Processes

Derain = Callable[[Pixels], Pixels]
"""A function from a picture, uint8 H x W x 3, RGB, to its rain-free image of the same shape."""


class Validation:
    """All pictures of the validation data in their own sizes (section 4.3), divided among the processes.

    The constructor reads every picture, so that an unreadable one is reported before the training and not
    after its first epoch.

    Args:
        datasets: at least one data set, of the test split.
        processes: the processes of the training; each measures its share and gets the mean over all.

        rule: of the network, which refuses pictures that are too small for it.

    Raises:
        UserError: if a picture cannot be read or is too small.
    """

    def __init__(self, datasets: Sequence[Dataset], processes: Processes, rule: SizeRule) -> None:
        cases = [(dataset, index) for dataset in datasets for index in range(len(dataset))]
        self._count = len(cases)
        self._mine = cases[processes.rank :: processes.count]
        self._processes = processes
        self._rainy = self._means("validation data", lambda rainy: _fitting(rainy, rule))

    def measure(self, derain: Derain) -> dict[str, float]:
        """Mean PSNR in dB: ``psnr_paper_db`` and ``psnr_matlab_db`` of results, ``rainy_...`` of inputs."""
        means = self._means("validation", derain)
        found = {f"psnr_{metric}_db": mean for metric, mean in zip(METRICS, means, strict=True)}
        return found | {f"rainy_{metric}_db": mean for metric, mean in zip(METRICS, self._rainy, strict=True)}

    def _means(self, title: str, derain: Derain) -> list[float]:
        sums = [0.0] * len(METRICS)
        with self._processes.bar(title, len(self._mine)) as show:
            for done, (dataset, index) in enumerate(self._mine, 1):
                pair = dataset.read(index)
                found: Scores = score(_named(derain, pair), pair.clean)
                sums = [total + found.by(metric).psnr_db for total, metric in zip(sums, METRICS, strict=True)]
                show(done, pair.name)
        return [total / self._count for total in self._processes.total(sums)]


def _fitting(rainy: Pixels, rule: SizeRule) -> Pixels:
    rule.padded_size(*rainy.shape[:2])
    return rainy


def _named(derain: Derain, pair: Pair) -> Pixels:
    try:
        return derain(pair.rainy)
    except UserError as error:
        raise UserError(f"validation picture {pair.name}: {error}") from error
