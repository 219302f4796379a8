"""Figures 6, 7 and 8 of the paper: the stages of a network side by side, and box plots of its results.

matplotlib is imported on first use, without pyplot, so that the state of a caller does not change.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from granet.app.console import UsageError
from granet.app.extras import require
from granet.app.files import write_atomically
from granet.data.image_files import Pixels
from granet.errors import UserError
from granet.evaluation.metrics import METRICS, score
from granet.evaluation.scoring import RAINY, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL = 3.2  # width of a picture in inches
_DPI = 120
_LINE = 0.3  # height of a line of text in inches
_LABEL = 14  # width of a label under boxes in characters
_COLOURS = ("#9ecae1", "#a1d99b", "#fdd0a2", "#dadaeb", "#fcbba1", "#c7e9c0")
_GRAY = "#d9d9d9"


@dataclass(frozen=True)
class StagesOfPicture:
    """A row of figure 6 or 7. All pictures are uint8 H x W x 3, RGB, of the same size.

    Attributes:
        name: name of the picture.
        rainy: the input.
        mask: the rain mask of the coarse stage, clamped at 0.
        coarse: input - mask.
        fine: the final result.
        truth: the dry picture; ``None`` for a photograph of real rain.
    """

    name: str
    rainy: Pixels
    mask: Pixels
    coarse: Pixels
    fine: Pixels
    truth: Pixels | None = None


def check_figure(path: Path, *, overwrite: bool) -> None:
    """Checks before the work that a figure can be drawn and written to ``path``.

    Raises:
        UsageError: if the suffix is not ``.png``.
        UserError: if the directory is missing, the file exists and may not be
            replaced, or matplotlib is not installed.
    """
    require("drawing a figure", "matplotlib")
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: figures are PNG: give a name that ends in .png")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no directory {path.parent}")
    if path.is_dir():
        raise UserError(f"{path}: is a directory")
    if path.exists() and not overwrite:
        raise UserError(f"{path}: already exists: give --overwrite to replace it")


def draw_stages(path: Path, rows: Sequence[StagesOfPicture], title: str, *, overwrite: bool = True) -> None:
    """Draws figures 6 and 7: input, mask, coarse and fine result, and the ground truth if there is one.

    A mask is dark, so it is amplified until its 99.9th percentile is white; the factor is printed below it.
    PSNR and SSIM by the metric ``paper`` are printed below pictures that have a ground truth.

    Args:
        path: ``.png``; written atomically.
        rows: rows of the figure, at least one.
        title: title of the figure.
        overwrite: whether an existing file is replaced.

    Raises:
        UserError: if the file cannot be written.
    """
    with_truth = any(row.truth is not None for row in rows)
    columns = ["(a) input", "(b) mask", "(c) coarse result", "(d) fine result"]
    columns += ["(e) ground truth"] if with_truth else []
    heights = [_CELL * row.rainy.shape[0] / row.rainy.shape[1] + _LINE for row in rows]
    figure = _figure(_CELL * len(columns) + 2 * _LINE, sum(heights) + 2 * _LINE)
    axes = figure.subplots(len(rows), len(columns), squeeze=False, height_ratios=heights)
    for row, cells in zip(rows, axes, strict=True):
        _draw_row(row, list(cells))
    for cell, column in zip(axes[0], columns, strict=True):
        cell.set_title(column, fontsize=11)
    under = "; PSNR / SSIM: metric `paper`" if with_truth else ""
    figure.suptitle(f"{title} (masks are amplified as stated{under})", fontsize=11)
    _save(figure, path, overwrite)


def draw_boxes(path: Path, evaluations: Sequence[Evaluation], *, overwrite: bool = True) -> None:
    """Draws figure 8: the distribution of PSNR and SSIM over the pictures of each data set.

    A box reaches from the lower to the upper quartile, with the median in red. Whiskers reach the last
    picture within 1.5 times the height of the box; pictures beyond are circles. Each metric has its own row.

    Args:
        path: ``.png``; written atomically.
        evaluations: one per data set, all with the same subjects.
        overwrite: whether an existing file is replaced.

    Raises:
        UserError: if the file cannot be written.
    """
    subjects = evaluations[0].subjects
    boxes = len(subjects) * len(evaluations)
    figure = _figure(2 * max(3.6, 0.9 * boxes + 1.2), 6.4)
    axes = figure.subplots(len(METRICS), 2, squeeze=False)
    for metric, (psnr, ssim) in zip(METRICS, axes, strict=True):
        for axis, measure, label in ((psnr, "psnr_db", "PSNR, dB"), (ssim, "ssim", "SSIM")):
            groups = [
                [[getattr(value, measure) for value in data.values(subject, metric)] for subject in subjects]
                for data in evaluations
            ]
            _draw_boxes(axis, groups, [data.title for data in evaluations], subjects)
            axis.set_ylabel(f"{label} (metric `{metric}`)")
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=_colour(i, name), edgecolor="black") for i, name in enumerate(subjects)]
    figure.legend(patches, list(subjects), loc="outside upper center", ncols=min(4, len(subjects)))
    _save(figure, path, overwrite)


def _draw_row(row: StagesOfPicture, cells: "list[Axes]") -> None:
    amplified, gain = _amplified(row.mask)
    shown = [row.rainy, amplified, row.coarse, row.fine, row.truth]
    for cell, pixels in zip(cells, shown, strict=False):
        cell.set_xticks([])
        cell.set_yticks([])
        if pixels is None:  # only other rows have a ground truth
            cell.set_axis_off()
            continue
        cell.imshow(pixels, interpolation="lanczos", interpolation_stage="rgba")
        if row.truth is not None and pixels is not amplified and pixels is not row.truth:
            quality = score(pixels, row.truth).paper
            cell.set_xlabel(f"{quality.psnr_db:.2f} dB / {quality.ssim:.4f}", fontsize=9)
    cells[1].set_xlabel(f"amplified {gain:.1f} times", fontsize=9)
    cells[0].set_ylabel(row.name if len(row.name) <= 28 else f"...{row.name[-25:]}", fontsize=9)


def _amplified(mask: Pixels) -> tuple[Pixels, float]:
    gain = max(1.0, 255 / max(1.0, float(np.percentile(mask, 99.9))))
    return np.asarray(np.clip(np.rint(mask * gain), 0, 255), np.uint8), gain


def _draw_boxes(
    axis: "Axes", groups: Sequence[Sequence[Sequence[float]]], titles: Sequence[str], subjects: Sequence[str]
) -> None:
    """``groups``: values by data set, subject and picture."""
    step = len(subjects) + 1
    for number, group in enumerate(groups):
        drawn = axis.boxplot(
            list(group),
            positions=[number * step + i for i in range(len(subjects))],
            widths=0.7,
            patch_artist=True,
            medianprops={"color": "red", "linewidth": 1.6},
            flierprops={"marker": "o", "markersize": 3, "markeredgecolor": "black", "alpha": 0.6},
        )
        for i, (box, subject) in enumerate(zip(drawn["boxes"], subjects, strict=True)):
            box.set_facecolor(_colour(i, subject))
    axis.set_xlim(-1, len(groups) * step - 1)
    centres = [number * step + (len(subjects) - 1) / 2 for number in range(len(groups))]
    axis.set_xticks(centres, ["\n".join(wrap(title, _LABEL)) for title in titles])
    axis.grid(axis="y", alpha=0.3)


def _colour(index: int, subject: str) -> str:
    return _GRAY if subject == RAINY else _COLOURS[index % len(_COLOURS)]


def _figure(width: float, height: float) -> "Figure":
    """A figure of ``width`` x ``height`` inches, drawn by Agg, which needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04, wspace=0, hspace=0)
    figure = Figure(figsize=(width, height), dpi=_DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: "Figure", path: Path, overwrite: bool) -> None:
    content = io.BytesIO()
    options: dict[str, Any] = {"metadata": {"Software": None}}  # equal figures give equal bytes
    figure.savefig(content, format="png", **options)
    write_atomically(path, content.getvalue(), overwrite=overwrite)
