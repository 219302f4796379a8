"""Layouts of data sets on disk: pairs rainy and clean files and selects a split."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from granet.data.image_files import list_pictures, natural_order
from granet.errors import UserError

DDN_TRAINING_SCENES = 650
"""Scenes 1 to 650 with 14 kinds of rain each are the 9,100 training pairs, as in the data set's first release
and in Syn2Real; the other scenes are the 4,900 test pairs."""

_RAINY = {"rainy", "rain", "input", "x2", "rainy_image", "rainy image"}
_CLEAN = {"clean", "norain", "target", "gt", "ground_truth", "ground truth"}
_OTHER = ("rainstreak", "rainregion", "rain_streak", "rain_region")
"""Prefixes of other files in Rain100L and Rain100H."""


@dataclass(frozen=True)
class Files:
    """A pair on disk.

    Attributes:
        name: name of the pair.
        rainy: file of the rainy picture, or of both pictures side by side.
        clean: file of the clean picture; ``None`` if it is a half of ``rainy``.
    """

    name: str
    rainy: Path
    clean: Path | None


def rain100_pairs(root: Path, split: str, letter: str) -> list[Files]:
    """Finds the pairs of Rain100L (``letter`` L) or Rain100H (H).

    The first release has ``rain-1.png`` and ``norain-1.png`` in one directory, or the rainy pictures in its
    subdirectory ``rainy``. The second has ``rain/X2/norain-1x2.png`` and ``norain/norain-1.png``.

    Raises:
        UserError: if the directory has another layout.
    """
    long = {"L": "light", "H": "heavy"}[letter]
    folders = {
        "train": (f"raintrain{letter.lower()}", f"rain_data_train_{long}", "train", "training"),
        "test": (f"rain100{letter.lower()}", f"rain_data_test_{long}", "test", "testing"),
    }
    root = split_folder(root, split, folders)
    rainy, clean = _sides(root)
    expected = "rain-1.png with norain-1.png, or directories rainy and clean (rain and norain)"
    if not rainy or not clean:
        raise UserError(
            f"{root}: expected {expected}; found {len(rainy)} rainy and {len(clean)} clean pictures"
        )
    return paired(rainy, clean, str(root))


def ddn_pairs(root: Path, split: str) -> list[Files]:
    """Finds the pairs of Fu et al.: ``rainy_image/7_1.jpg`` to ``7_14.jpg`` belong to ``ground_truth/7.jpg``.

    Both directories of the current release, ``training`` and ``testing``, are merged and split again.

    Raises:
        UserError: if the directory has another layout, a clean picture is missing, or the split is empty.
    """
    rainy, clean = _sides(root)
    scenes = {path.stem: path for path in clean}
    if not rainy or not scenes:
        raise UserError(
            f"{root}: expected rainy_image/1_1.jpg to 1_14.jpg and ground_truth/1.jpg; "
            f"found {len(rainy)} rainy and {len(scenes)} clean pictures"
        )
    pairs = []
    for path in rainy:
        scene = path.stem.partition("_")[0]
        if not re.fullmatch(r"\d+_\d+", path.stem):
            raise UserError(f"{path}: expected a name such as 1_14.jpg, with the scene and the kind of rain")
        if scene not in scenes:
            raise UserError(f"{path}: has no clean picture {scene}.jpg in ground_truth")
        if (int(scene) <= DDN_TRAINING_SCENES) == (split == "train"):
            pairs.append(Files(path.stem, path, scenes[scene]))
    if not pairs:
        which = f"1 to {DDN_TRAINING_SCENES}" if split == "train" else f"above {DDN_TRAINING_SCENES}"
        raise UserError(f"{root}: the {split} split is empty: expected scenes {which}, but found none")
    return sorted(pairs, key=lambda pair: natural_order(pair.name))


def side_by_side(root: Path, split: str, folders: Mapping[str, Iterable[str]], below: bool) -> list[Files]:
    """Finds files that hold a pair each, side by side.

    Args:
        root: directory of the files, or of the directories of the splits.
        split: the split to select.
        folders: names of the directories of each split.
        below: whether to search subdirectories too.

    Raises:
        UserError: if there are no pictures.
    """
    root = split_folder(root, split, folders)
    paths = list_pictures(root, below)
    return [Files(path.relative_to(root).with_suffix("").as_posix(), path, None) for path in paths]


def split_folder(root: Path, split: str, folders: Mapping[str, Iterable[str]]) -> Path:
    """The directory of a split below ``root``, or ``root`` itself if it is not split.

    Raises:
        UserError: if ``root`` has only the other split, which must not replace this one.
    """
    if not root.is_dir():
        raise UserError(f"{root}: {'is not a directory' if root.exists() else 'there is no such directory'}")
    found = {path.name.lower(): path for path in root.iterdir() if path.is_dir()}
    for name in folders[split]:
        if name in found:
            return found[name]
    others = [
        found[name].name
        for other, names in folders.items()
        if other != split
        for name in names
        if name in found
    ]
    if others:
        wanted = " or ".join(folders[split])
        raise UserError(f"{root}: the {split} split is empty: expected {wanted}, but found only {others[0]}")
    return root


def paired(rainy: list[Path], clean: list[Path], where: str) -> list[Files]:
    """Pairs rainy and clean pictures by name, or by number if no names are equal.

    Raises:
        UserError: if a picture has no partner or more than one.
    """
    by_name = {path.stem for path in rainy} & {path.stem for path in clean}
    # In Rain100's second release no names are equal: norain-1x2.png and norain-1.png.
    key = _name if by_name else _number
    rainy_by, clean_by = _unique(rainy, key), _unique(clean, key)
    alone = sorted(rainy_by.keys() ^ clean_by.keys(), key=natural_order)
    if alone:
        first, side = (
            (rainy_by.get(alone[0]), "clean") if alone[0] in rainy_by else (clean_by[alone[0]], "rainy")
        )
        more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
        counts = f"{len(rainy)} rainy and {len(clean)} clean pictures"
        raise UserError(f"{where}: {counts} do not match: {first} has no {side} picture{more}")
    return [Files(rainy_by[k].stem, rainy_by[k], clean_by[k]) for k in sorted(rainy_by, key=natural_order)]


def _unique(paths: list[Path], key: Callable[[Path], str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        name = key(path)
        if name in found:
            raise UserError(f"{found[name]} and {path} have the same number: remove or rename one")
        found[name] = path
    return found


def _name(path: Path) -> str:
    return path.stem


def _number(path: Path) -> str:
    """The number in a name: ``7`` for ``rain-007`` and ``norain-7x2``; the name itself if it has none."""
    match = re.search(r"(\d+)(x2)?$", path.stem)
    return str(int(match[1])) if match else path.stem


def _sides(root: Path) -> tuple[list[Path], list[Path]]:
    """The rainy and the clean pictures below ``root``, by directory or else by name."""
    rainy, clean = [], []
    for path in list_pictures(root, below=True):
        if path.stem.lower().startswith(_OTHER):
            continue
        folders = [part.lower() for part in path.relative_to(root).parts[:-1]][::-1]
        folder = next((name for name in folders if name in _RAINY | _CLEAN), None)
        if folder in _CLEAN or (folder is None and path.stem.lower().startswith("norain")):
            clean.append(path)
        elif folder in _RAINY or path.stem.lower().startswith("rain"):
            rainy.append(path)
    return rainy, clean
