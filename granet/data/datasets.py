"""Data sets of rainy and clean pictures, in the layouts that their authors distribute.

A spec is ``KIND:WHERE``:

=================================  =====================================================================
``rain100l:DIR``, ``rain100h:DIR``  Yang et al., CVPR 2017: ``rain-1.png`` and ``norain-1.png``, in one
                                   directory or in ``rainy``/``rain`` and ``clean``/``norain``
``ddn:DIR``                        Fu et al., CVPR 2017: ``rainy_image/1_1.jpg`` to ``1_14.jpg`` and
                                   ``ground_truth/1.jpg``, in one directory or in training and testing
``did:DIR``                        Zhang and Patel, CVPR 2018: side by side, rainy left; training pairs in
                                   ``Rain_Heavy``, ``Rain_Medium`` and ``Rain_Light``
``rain800:DIR``                    Zhang et al., 2017: side by side, clean left
``pairs:RAINY_DIR,CLEAN_DIR``      pictures with the same name, or with the same number
``synthetic:CLEAN``                rain of :mod:`granet.synthetic.rain` on clean pictures: those of a
                                   directory, or of the pairs of another spec
                                   (``synthetic:rain800:DIR``). Options:
                                   ``?heaviness=0.1-0.4`` sets the heaviness, ``?split=all`` holds nothing
                                   back, ``?faults=0.3`` gives a share of the pictures the faults of real
                                   cameras, ``?lines=0.4`` gives a share long lines
                                   (:mod:`granet.synthetic.lines`), a quarter of them with streaks,
                                   ``?turned=0.3`` turns a share of the pictures on their side before it
                                   rains,
                                   ``?streaks=SPEC`` takes the rain from the pairs of a spec
``drawn:COUNT``                    rain on synthetic streets (:mod:`granet.synthetic.street`), without files
``clean:DIR``                      clean pictures as their own input, to measure changes of dry pictures
=================================  =====================================================================
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from granet.data.augment import CameraFaults
from granet.data.image_files import Pixels, list_pictures, read_rgb
from granet.data.layouts import Files, ddn_pairs, paired, rain100_pairs, side_by_side
from granet.data.specs import Spec, parse_spec
from granet.data.streaks import transplanted
from granet.errors import UserError
from granet.synthetic.lines import render_lines, sample_lines
from granet.synthetic.rain import Floats, add_rain, render_rain, sample_rain
from granet.synthetic.street import street

Split = Literal["train", "test"]
Cut = Callable[[int, int], tuple[slice, slice]]
"""A function from height and width in pixels to the rows and columns to read."""

LIGHT, HEAVY, LIGHT_SHARE = (0.05, 0.35), (0.3, 1.0), 0.65
"""Default heaviness of synthetic rain (:func:`granet.synthetic.rain.sample_rain`): ranges of light and heavy
rain, and the share of light rain. Most rain that a camera sees is light; heavy rain varies more."""

BOTH_SHARE = 0.25
"""Share of the pictures with lines that have streaks as well."""

DRAWN_SIZE = (320, 480)
"""(height, width) of a synthetic street in pixels."""

DRAWN_HEAVINESS = (0.2, 0.4, 0.85)
"""Light, moderate and heavy rain, in turn."""

HELD_BACK = 20
"""Every 20th picture of ``synthetic:DIR`` is for testing; the others are for training."""


@dataclass(frozen=True)
class Pair:
    """A rainy picture and the same picture without rain.

    Attributes:
        name: name of the rainy picture.
        rainy: uint8 H x W x 3, RGB.
        clean: uint8 H x W x 3, RGB.
    """

    name: str
    rainy: Pixels
    clean: Pixels


class Dataset(ABC):
    """Pairs of pictures, in the same order on every machine.

    Attributes:
        spec: the spec that the user wrote.
        title: common name of the data set.
        names: one name per pair.
    """

    def __init__(self, spec: str, title: str, names: tuple[str, ...]) -> None:
        self.spec = spec
        self.title = title
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int, draw: int = 0) -> Pair:
        """Reads pair ``index``; ``draw`` selects its rain if the rain is synthetic.

        Raises:
            UserError: if a file cannot be read, or the two pictures differ in size.
        """
        return self.read_cut(index, draw, lambda height, width: (slice(0, height), slice(0, width)))

    @abstractmethod
    def read_cut(self, index: int, draw: int, cut: Cut) -> Pair:
        """Reads a part of a pair, as :meth:`read`; synthetic rain is rendered for that part only."""


class FilePairs(Dataset):
    """Pairs of files, or of the two halves of a file."""

    def __init__(self, spec: str, title: str, files: list[Files], clean_left: bool = False) -> None:
        """``clean_left``: whether the left half is the clean one, if a pair is one file."""
        super().__init__(spec, title, tuple(pair.name for pair in files))
        self._files = files
        self._clean_left = clean_left

    def read_cut(self, index: int, draw: int, cut: Cut) -> Pair:
        """See :meth:`Dataset.read_cut`; ``draw`` has no effect."""
        files = self._files[index]
        if files.clean is None:
            rainy, clean = self._halves(files.rainy)
        else:
            rainy, clean = read_rgb(files.rainy), read_rgb(files.clean)
            if rainy.shape != clean.shape:
                raise UserError(
                    f"{files.rainy} has {_size(rainy)} pixels and {files.clean} {_size(clean)}: "
                    "the two pictures of a pair must have the same size"
                )
        rows, columns = cut(*rainy.shape[:2])
        return Pair(files.name, rainy[rows, columns], clean[rows, columns])

    def _halves(self, path: Path) -> tuple[Pixels, Pixels]:
        picture = read_rgb(path)
        width = picture.shape[1]
        if width % 2:
            raise UserError(
                f"{path}: expected two pictures side by side, but the width of {width} pixels is odd"
            )
        left, right = picture[:, : width // 2], picture[:, width // 2 :]
        return (right, left) if self._clean_left else (left, right)


RainOn = Callable[[np.random.Generator, int, int], Floats]
"""A function from a random generator, height and width in pixels to rain: float32 H x W in grey levels."""


class SyntheticRain(Dataset):
    """Rain on clean pictures; equal index and draw give equal rain."""

    def __init__(
        self,
        spec: str,
        title: str,
        clean: Dataset,
        chosen: Sequence[int],
        rain: RainOn,
        faults: CameraFaults,
        turned: float = 0.0,
    ) -> None:
        """``chosen``: indices of the pictures of ``clean`` to use; ``turned``: share on their side."""
        super().__init__(spec, title, tuple(clean.names[index] for index in chosen))
        self._clean, self._chosen = clean, chosen
        self._rain = rain
        self._faults = faults
        self._turned = turned

    def read_cut(self, index: int, draw: int, cut: Cut) -> Pair:
        """See :meth:`Dataset.read_cut`."""
        clean = self._read_clean(index, draw, cut)
        rng = np.random.default_rng((index, draw))
        rain = self._rain(rng, *clean.shape[:2])
        clean = self._faults.apply(clean, rng)
        return Pair(self.names[index], add_rain(clean, rain), clean)

    def _read_clean(self, index: int, draw: int, cut: Cut) -> Pixels:
        # Its own random numbers: the rain of a draw is the same with and without the option.
        upright = np.random.default_rng((index, draw, _TURNED)).random() >= self._turned
        if upright:
            return self._clean.read_cut(self._chosen[index], 0, cut).clean

        def cut_turned(height: int, width: int) -> tuple[slice, slice]:
            rows, columns = cut(width, height)
            return columns, rows

        return np.ascontiguousarray(np.rot90(self._clean.read_cut(self._chosen[index], 0, cut_turned).clean))


_TURNED = 1
"""Purpose of random numbers, beside those of the rain."""


def _drawn_rain(heaviness: tuple[float, float] | None, lines: float) -> RainOn:
    """Synthetic rain.

    Args:
        heaviness: its range; ``None`` for light to heavy.
        lines: share of the pictures that have long lines.
    """

    def rain(rng: np.random.Generator, height: int, width: int) -> Floats:
        light = rng.random() < LIGHT_SHARE
        drawn = float(rng.uniform(*(heaviness or (LIGHT if light else HEAVY))))
        # Without lines nothing is drawn for them, so the rain of specs without the option stays as it was.
        if not lines or rng.random() >= lines:
            return render_rain(sample_rain(rng, drawn), height, width)
        if rng.random() >= BOTH_SHARE:
            return render_lines(sample_lines(rng, drawn), rng, height, width)
        streaks = render_rain(sample_rain(rng, drawn / 2), height, width)
        return streaks + render_lines(sample_lines(rng, drawn / 2), rng, height, width)

    return rain


def _taken_rain(pairs: Dataset) -> RainOn:
    """Rain taken from other pairs (:mod:`granet.data.streaks`)."""

    def read(index: int) -> tuple[Pixels, Pixels]:
        pair = pairs.read(index)
        return pair.rainy, pair.clean

    def rain(rng: np.random.Generator, height: int, width: int) -> Floats:
        return transplanted(read, len(pairs), rng, height, width)

    return rain


@lru_cache(maxsize=256)
def _drawn_street(seed: int) -> Pixels:
    """A street of :data:`DRAWN_SIZE`. Calibration and training read it several times; 256 take 120 MB."""
    drawn = street(*DRAWN_SIZE, seed=seed)
    drawn.setflags(write=False)
    return drawn


class DrawnStreets(Dataset):
    """Light to heavy rain on synthetic streets: the same on every machine, without any files."""

    def __init__(self, spec: str, count: int) -> None:
        super().__init__(spec, "drawn streets", tuple(f"street-{i}" for i in range(count)))

    def read_cut(self, index: int, draw: int, cut: Cut) -> Pair:
        """See :meth:`Dataset.read_cut`."""
        clean = _drawn_street(index)[cut(*DRAWN_SIZE)].copy()
        heaviness = DRAWN_HEAVINESS[index % len(DRAWN_HEAVINESS)]
        rain = render_rain(sample_rain(np.random.default_rng((index, draw)), heaviness), *clean.shape[:2])
        return Pair(self.names[index], add_rain(clean, rain), clean)


class CleanPictures(Dataset):
    """Clean pictures that are both input and target."""

    def __init__(self, spec: str, title: str, paths: list[Path]) -> None:
        super().__init__(spec, title, tuple(path.stem for path in paths))
        self._paths = paths

    def read_cut(self, index: int, draw: int, cut: Cut) -> Pair:
        """See :meth:`Dataset.read_cut`; ``draw`` has no effect."""
        picture = read_rgb(self._paths[index])
        clean = picture[cut(*picture.shape[:2])]
        return Pair(self.names[index], clean, clean)


def open_dataset(spec: str, split: Split) -> Dataset:
    """Opens the data set that a spec names.

    Args:
        spec: ``KIND:WHERE``, see above.
        split: the split of the authors, if the directory has both. ``ddn`` is split into 9,100 training
            pairs, those of scenes 1 to 650, and 4,900 test pairs (section 4.1). ``pairs``, ``drawn`` and
            ``clean`` have no split.

    Returns:
        A data set of at least one pair.

    Raises:
        UserError: if the spec is not valid, the directory has another layout, a picture has no partner, or
            the split is empty.
    """
    if split not in get_args(Split):
        raise UserError(f"unknown split {split!r}: the splits are {', '.join(get_args(Split))}")
    return _opened(parse_spec(spec), split)


def _opened(spec: Spec, split: Split) -> Dataset:
    return _OPENED_BY[spec.kind](spec, split)


def _rain100(spec: Spec, split: Split) -> Dataset:
    letter = spec.kind[-1].upper()
    return FilePairs(spec.text, f"Rain100{letter}", rain100_pairs(Path(spec.where), split, letter))


def _ddn(spec: Spec, split: Split) -> Dataset:
    return FilePairs(spec.text, "DDN-Dataset", ddn_pairs(Path(spec.where), split))


def _did(spec: Spec, split: Split) -> Dataset:
    folders = {
        "train": ("did-mdn-training", "train", "training"),
        "test": ("did-mdn-test", "test", "testing"),
    }
    return FilePairs(spec.text, "DID-Dataset", side_by_side(Path(spec.where), split, folders, below=True))


def _rain800(spec: Spec, split: Split) -> Dataset:
    folders = {"train": ("training", "train"), "test": ("test_syn", "test", "testing")}
    files = side_by_side(Path(spec.where), split, folders, below=False)
    return FilePairs(spec.text, "Rain800", files, clean_left=True)


def _pairs(spec: Spec, split: Split) -> Dataset:
    rainy, clean = spec.directories
    files = paired(list_pictures(rainy), list_pictures(clean), f"pairs of {rainy} and {clean}")
    return FilePairs(spec.text, f"pairs of {Path(rainy).name}", files)


def _synthetic(spec: Spec, split: Split) -> Dataset:
    rain = _drawn_rain(spec.heaviness, spec.lines)
    if spec.streaks is not None:
        rain = _taken_rain(_opened(spec.streaks, "train"))
    clean = _clean_pictures(spec, split)
    everything = "split" in spec.options
    chosen = [i for i in range(len(clean)) if everything or (i % HELD_BACK == 0) == (split == "test")]
    if not chosen:
        raise UserError(
            f"{spec.where}: a single picture, which is held back for testing like every {HELD_BACK}th: "
            f"add pictures, or write synthetic:{spec.where}?split=all"
        )
    title = f"{'synthetic' if spec.streaks is None else 'transplanted'} rain on {Path(spec.where).name}"
    return SyntheticRain(spec.text, title, clean, chosen, rain, CameraFaults(spec.faults), spec.turned)


def _clean_pictures(spec: Spec, split: Split) -> Dataset:
    """The clean pictures of a directory, or of the pairs of a spec."""
    return open_dataset(f"clean:{spec.where}", split) if spec.source is None else _opened(spec.source, split)


def _clean(spec: Spec, split: Split) -> Dataset:
    return CleanPictures(spec.text, f"clean pictures of {Path(spec.where).name}", list_pictures(spec.where))


def _drawn(spec: Spec, split: Split) -> Dataset:
    return DrawnStreets(spec.text, int(spec.where))


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


_OPENED_BY: dict[str, Callable[[Spec, Split], Dataset]] = {
    "rain100l": _rain100,
    "rain100h": _rain100,
    "ddn": _ddn,
    "did": _did,
    "rain800": _rain800,
    "pairs": _pairs,
    "synthetic": _synthetic,
    "drawn": _drawn,
    "clean": _clean,
}
"""Kind of data -> the function that opens it."""
