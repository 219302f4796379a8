"""Figures 6 and 7 from files: chooses the pictures and runs the stages of a network on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from granet.app.progress import progress_line
from granet.data.datasets import Dataset
from granet.data.image_files import Pixels, list_pictures, read_rgb
from granet.errors import UserError
from granet.evaluation.scoring import Stages
from granet.paper.plots import StagesOfPicture

SHOWN = 3
"""Pictures in a figure unless they are picked."""


@dataclass(frozen=True)
class ShownPicture:
    """A picture that a figure is to show.

    Attributes:
        name: name of the picture.
        read: gives the rainy picture and the ground truth (``None`` if there is none), uint8
            H x W x 3, RGB.
    """

    name: str
    read: Callable[[], tuple[Pixels, Pixels | None]]


def photographs(directory: Path) -> list[ShownPicture]:
    """The pictures of a directory, for figure 6.

    Raises:
        UserError: if there are none.
    """

    def reader(path: Path) -> Callable[[], tuple[Pixels, None]]:
        return lambda: (read_rgb(path), None)

    return [ShownPicture(path.stem, reader(path)) for path in list_pictures(directory)]


def pairs(datasets: Sequence[Dataset]) -> list[ShownPicture]:
    """The pairs of data sets, for figure 7."""

    def reader(dataset: Dataset, index: int) -> Callable[[], tuple[Pixels, Pixels]]:
        def read() -> tuple[Pixels, Pixels]:
            pair = dataset.read(index)
            return pair.rainy, pair.clean

        return read

    return [
        ShownPicture(name, reader(dataset, index))
        for dataset in datasets
        for index, name in enumerate(dataset.names)
    ]


def pick(pictures: Sequence[ShownPicture], names: Sequence[str], where: str) -> list[ShownPicture]:
    """The pictures of these names, in that order; the first few if there are no names.

    A name may be given with its ending.

    Raises:
        UserError: if no picture has a name; the message says ``where`` it was searched.
    """
    if not names:
        return list(pictures[:SHOWN])
    known = {picture.name: picture for picture in reversed(pictures)}
    chosen = []
    for name in names:
        found = known.get(name) or known.get(Path(name).stem)
        if found is None:
            raise UserError(
                f"--pick {name}: no such picture in {where}, which begins with {pictures[0].name}"
            )
        chosen.append(found)
    return chosen


def stages_of(
    pictures: Sequence[ShownPicture], stages: Callable[[Pixels], Stages], title: str
) -> list[StagesOfPicture]:
    """Runs the network on each of the pictures; progress is shown under ``title``.

    Raises:
        UserError: if one cannot be read or computed on; it names the picture.
    """
    rows = []
    with progress_line(title, len(pictures)) as show:
        for picture in pictures:
            rainy, truth = picture.read()
            try:
                rows.append(StagesOfPicture(picture.name, rainy, *stages(rainy), truth))
            except UserError as error:
                raise UserError(f"{picture.name}: {error}") from error
            show(len(rows), picture.name)
    return rows
