"""Scores every picture of a data set, the rainy input always beside the results.

Three evaluations share one procedure. Each makes a list of :class:`Entry` per picture:

- the rain-free image of each model against the ground truth (tables 1 and 2, figure 8);
- mask, coarse and fine result of one network (table 3);
- the result for a dry picture against that picture.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from granet.app.progress import Progress
from granet.data.datasets import Dataset, Pair
from granet.data.image_files import Pixels
from granet.errors import UserError
from granet.evaluation.metrics import METRICS, Metric, Quality, Scores, score

Derain = Callable[[Pixels], Pixels]
"""uint8 1 x H x W x 3, RGB -> the rain-free image, of the same shape."""

Stages = tuple[Pixels, Pixels, Pixels]
"""Mask, coarse and fine result as pictures, each uint8 H x W x 3, RGB."""

RAINY = "rainy input"
MASK, COARSE, FINE = "mask", "coarse", "fine"


@dataclass(frozen=True)
class Entry:
    """A comparison of two pictures.

    Attributes:
        subject: origin of the picture: :data:`RAINY`, a model or a stage.
        picture: uint8 H x W x 3, RGB.
        truth: its ground truth, the same shape.
    """

    subject: str
    picture: Pixels
    truth: Pixels


@dataclass(frozen=True)
class Row:
    """The scores of one picture of a data set.

    Attributes:
        name: name of the picture.
        scores: scores by subject, in display order.
    """

    name: str
    scores: Mapping[str, Scores]


@dataclass(frozen=True)
class Evaluation:
    """The scores of a data set.

    Attributes:
        spec: the spec of the data set.
        title: its common name, such as ``Rain100L``.
        of: number of its pictures; larger than that of ``rows`` if only the first were evaluated.
        rows: one row per evaluated picture, at least one.
    """

    spec: str
    title: str
    of: int
    rows: tuple[Row, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects that were compared with the ground truth, in display order."""
        return tuple(self.rows[0].scores)

    @property
    def extent(self) -> str:
        """The evaluated part: ``100 pictures`` or ``first 10 of 100 pictures``."""
        part = f"{self.of}" if len(self.rows) == self.of else f"first {len(self.rows)} of {self.of}"
        return f"{part} {'picture' if self.of == 1 else 'pictures'}"

    def values(self, subject: str, metric: Metric) -> list[Quality]:
        """The scores of every picture, in order."""
        return [row.scores[subject].by(metric) for row in self.rows]

    def mean(self, subject: str, metric: Metric) -> Quality:
        """Mean PSNR and mean SSIM over the pictures, as usual in the literature."""
        values = self.values(subject, metric)
        psnr = float(np.mean([value.psnr_db for value in values]))
        return Quality(psnr, float(np.mean([value.ssim for value in values])))

    def worst(self, subject: str, metric: Metric) -> Row:
        """The picture with the lowest PSNR, or the first of several."""
        return min(self.rows, key=lambda row: row.scores[subject].by(metric).psnr_db)

    def to_json(self) -> dict[str, Any]:
        """Means, worst pictures and all pictures; PSNR in dB, at most 100 (equal pictures)."""
        return {
            "data": self.spec,
            "title": self.title,
            "pictures": len(self.rows),
            "of": self.of,
            "mean": {
                subject: {metric: asdict(self.mean(subject, metric)) for metric in METRICS}
                for subject in self.subjects
            },
            "worst": {
                subject: {metric: self._worst_json(subject, metric) for metric in METRICS}
                for subject in self.subjects
            },
            "rows": [
                {"name": row.name, **{subject: asdict(scores) for subject, scores in row.scores.items()}}
                for row in self.rows
            ],
        }

    def _worst_json(self, subject: str, metric: Metric) -> dict[str, Any]:
        row = self.worst(subject, metric)
        return {"name": row.name, **asdict(row.scores[subject].by(metric))}


def evaluate(
    dataset: Dataset, models: Mapping[str, Derain], limit: int | None, progress: Progress
) -> Evaluation:
    """Compares the rainy input and the result of each model with the ground truth.

    Args:
        dataset: the pairs; synthetic rain is its first draw.
        models: models by display name.
        limit: number of pictures to evaluate, from the first; ``None`` for all.
        progress: called after each picture.

    Raises:
        UserError: if a picture cannot be read or processed; the message names the picture.
    """

    def entries(pair: Pair) -> list[Entry]:
        results = [Entry(name, derain(pair.rainy[None])[0], pair.clean) for name, derain in models.items()]
        return [Entry(RAINY, pair.rainy, pair.clean), *results]

    return _evaluation(dataset, entries, limit, progress)


def evaluate_stages(
    dataset: Dataset, stages: Callable[[Pixels], Stages], limit: int | None, progress: Progress
) -> Evaluation:
    """Table 3: scores mask and coarse result of one network, beside the rainy input and the fine result.

    The paper does not state the ground truth of the mask. Here it is the added rain, rainy - clean. The
    numbers of the table support this choice: mask - (rainy - clean) and clean - coarse are the same
    difference, and in the table their PSNRs are within 0.4 dB on all four data sets.

    Args:
        dataset: the pairs.
        stages: function from a rainy picture, uint8 H x W x 3, RGB, to its stages.
        limit: number of pictures to evaluate, from the first; ``None`` for all.
        progress: called after each picture.

    Raises:
        UserError: if a picture cannot be read or processed; the message names the picture.
    """

    def entries(pair: Pair) -> list[Entry]:
        mask, coarse, fine = stages(pair.rainy)
        return [
            Entry(RAINY, pair.rainy, pair.clean),
            Entry(COARSE, coarse, pair.clean),
            Entry(MASK, mask, rain_of(pair)),
            Entry(FINE, fine, pair.clean),
        ]

    return _evaluation(dataset, entries, limit, progress)


def evaluate_dry(
    dataset: Dataset, models: Mapping[str, Derain], limit: int | None, progress: Progress
) -> Evaluation:
    """Compares the results for dry pictures with those pictures; 100 dB means that they are unchanged.

    Args:
        dataset: its clean pictures are the input.
        models: models by display name.
        limit: number of pictures to evaluate, from the first; ``None`` for all.
        progress: called after each picture.

    Raises:
        UserError: if a picture cannot be read or processed; the message names the picture.
    """

    def entries(pair: Pair) -> list[Entry]:
        return [Entry(name, derain(pair.clean[None])[0], pair.clean) for name, derain in models.items()]

    return _evaluation(dataset, entries, limit, progress)


def rain_of(pair: Pair) -> Pixels:
    """The rain in a picture, rainy - clean; uint8 H x W x 3, RGB."""
    return np.asarray(np.clip(pair.rainy.astype(np.int16) - pair.clean, 0, 255), np.uint8)


def _evaluation(
    dataset: Dataset, entries: Callable[[Pair], Sequence[Entry]], limit: int | None, progress: Progress
) -> Evaluation:
    rows: list[Row] = []
    count = min(len(dataset), limit or len(dataset))
    for index in range(count):
        pair = dataset.read(index)
        try:
            scores = {entry.subject: score(entry.picture, entry.truth) for entry in entries(pair)}
        except UserError as error:  # engines and metrics do not know the name of the picture
            raise UserError(f"{dataset.spec}: {pair.name}: {error}") from error
        rows.append(Row(pair.name, scores))
        progress(len(rows), count, pair.name)
    return Evaluation(dataset.spec, dataset.title, len(dataset), tuple(rows))
