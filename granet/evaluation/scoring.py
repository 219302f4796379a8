"""How good results are: every picture of a data set scored, the rainy input always beside the result.

Three questions, one way to answer them. What is compared with what is a list of :class:`Entry`:

- the rain-free image of each model with the ground truth (tables 1 and 2, figure 8);
- mask, coarse and fine result of one network (table 3);
- what a network makes of a dry picture with that picture.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

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

Progress = Callable[[int, str], None]
"""Told how many pictures are done and the name of the last."""


@dataclass(frozen=True)
class Entry:
    """What is compared with what.

    Attributes:
        subject: what the picture is of: :data:`RAINY`, a model, a stage.
        picture: uint8 H x W x 3, RGB.
        truth: the same.
    """

    subject: str
    picture: Pixels
    truth: Pixels


@dataclass(frozen=True)
class Row:
    """One picture of a data set.

    Attributes:
        name: of the picture.
        scores: by subject, in the order in which they are shown.
    """

    name: str
    scores: Mapping[str, Scores]


@dataclass(frozen=True)
class Evaluation:
    """All pictures of a data set.

    Attributes:
        spec: how the user named the data set.
        title: its name for people, ``Rain100L``.
        of: how many pictures it has; more than ``rows`` if only the first were evaluated.
        rows: one for each picture, at least one.
    """

    spec: str
    title: str
    of: int
    rows: tuple[Row, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        """What was compared with the truth, in order."""
        return tuple(self.rows[0].scores)

    @property
    def extent(self) -> str:
        """How many of its pictures: ``100 pictures``, ``first 10 of 100 pictures``."""
        part = f"{self.of}" if len(self.rows) == self.of else f"first {len(self.rows)} of {self.of}"
        return f"{part} {'picture' if self.of == 1 else 'pictures'}"

    def values(self, subject: str, metric: Metric) -> list[Quality]:
        """Of every picture, in order."""
        return [row.scores[subject].by(metric) for row in self.rows]

    def mean(self, subject: str, metric: Metric) -> Quality:
        """The mean over the pictures of PSNR and of SSIM, as every table of the field has it."""
        values = self.values(subject, metric)
        psnr = float(np.mean([value.psnr_db for value in values]))
        return Quality(psnr, float(np.mean([value.ssim for value in values])))

    def worst(self, subject: str, metric: Metric) -> Row:
        """The picture of least PSNR; the first of several."""
        return min(self.rows, key=lambda row: row.scores[subject].by(metric).psnr_db)

    def to_json(self) -> dict[str, Any]:
        """Means, worst pictures and every picture; PSNR in dB, at most 100 (equal pictures)."""
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
    """The rainy input and the result of each model against the ground truth.

    Args:
        dataset: the pairs; the first draw of synthetic rain.
        models: by the name they are shown under.
        limit: evaluate only so many pictures, the first ones; ``None`` for all.
        progress: called after each picture.

    Raises:
        UserError: if a picture cannot be read or computed on; it names the picture.
    """

    def entries(pair: Pair) -> list[Entry]:
        results = [Entry(name, derain(pair.rainy[None])[0], pair.clean) for name, derain in models.items()]
        return [Entry(RAINY, pair.rainy, pair.clean), *results]

    return _evaluation(dataset, entries, limit, progress)


def evaluate_stages(
    dataset: Dataset, stages: Callable[[Pixels], Stages], limit: int | None, progress: Progress
) -> Evaluation:
    """Table 3: mask and coarse result of one network, beside the rainy input and the fine result.

    The paper does not say what the mask is held against. Here it is the rain that was added, rainy -
    clean, and the figures of the table agree with that: mask - (rainy - clean) and clean - coarse are the
    same difference, and the table's PSNR of the two lie within 0.4 dB on all four data sets.

    Args:
        dataset: the pairs.
        stages: rainy uint8 H x W x 3, RGB -> its stages.
        limit: evaluate only so many pictures, the first ones; ``None`` for all.
        progress: called after each picture.

    Raises:
        UserError: if a picture cannot be read or computed on; it names the picture.
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
    """What each model makes of dry pictures, against those pictures: 100 dB is to leave them alone.

    Args:
        dataset: whose clean pictures are taken.
        models: by the name they are shown under.
        limit: evaluate only so many pictures, the first ones; ``None`` for all.
        progress: called after each picture.

    Raises:
        UserError: if a picture cannot be read or computed on; it names the picture.
    """

    def entries(pair: Pair) -> list[Entry]:
        return [Entry(name, derain(pair.clean[None])[0], pair.clean) for name, derain in models.items()]

    return _evaluation(dataset, entries, limit, progress)


def rain_of(pair: Pair) -> Pixels:
    """The rain that was added to a picture, rainy - clean; uint8 H x W x 3, RGB."""
    return np.asarray(np.clip(pair.rainy.astype(np.int16) - pair.clean, 0, 255), np.uint8)


def _evaluation(
    dataset: Dataset, entries: Callable[[Pair], Sequence[Entry]], limit: int | None, progress: Progress
) -> Evaluation:
    rows: list[Row] = []
    for index in range(min(len(dataset), limit or len(dataset))):
        pair = dataset.read(index)
        try:
            scores = {entry.subject: score(entry.picture, entry.truth) for entry in entries(pair)}
        except UserError as error:  # an engine and a metric do not know which picture it was
            raise UserError(f"{dataset.spec}: {pair.name}: {error}") from error
        rows.append(Row(pair.name, scores))
        progress(len(rows), pair.name)
    return Evaluation(dataset.spec, dataset.title, len(dataset), tuple(rows))
