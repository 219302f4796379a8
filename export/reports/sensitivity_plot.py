"""The sensitivity of a model's layers as a plot."""

import io
from pathlib import Path
from typing import Any

from granet.app.extras import require
from granet.app.files import write_atomically

_ROW_INCHES = 0.19


def plot_sensitivity(result: dict[str, Any], path: Path, title: str, *, overwrite: bool) -> None:
    """Plots the drop of each layer on a logarithmic axis, and its share of the arithmetic.

    Args:
        result: result of :func:`export.reports.sensitivity.sensitivity_json`.
        path: a PNG file.
        title: title of the plot.
        overwrite: whether an existing file is replaced.

    Raises:
        UserError: if matplotlib is not installed, or the file cannot be written.
    """
    require("drawing a plot", "matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers = result["layers"]
    figure = Figure(figsize=(9, 1.6 + _ROW_INCHES * len(layers)), layout="constrained")
    FigureCanvasAgg(figure)
    drops, shares = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    rows = range(len(layers))
    colours = ["tab:orange" if layer["kept"] else "tab:blue" for layer in layers]
    drops.barh(rows, [max(layer["drop_db"], 1e-6) for layer in layers], color=colours)
    drops.set_xscale("log")
    drops.axvline(result["budget_db"], color="black", linestyle="--", linewidth=1)
    drops.set_yticks(rows, [layer["layer"] for layer in layers], fontsize=7)
    drops.set_ylim(len(layers) - 0.4, -0.6)  # the first on top
    drops.set_xlabel("drop in PSNR from this layer alone, dB (dashed: the budget for all)")
    shares.barh(rows, [100 * layer["arithmetic"] for layer in layers], color=colours)
    shares.set_xlabel("arithmetic, %")
    kept = f"orange: kept in more bits, {result['arithmetic_kept']:.0%} of the arithmetic"
    figure.suptitle(f"{title}\n{kept}", fontsize=10)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    write_atomically(path, picture.getvalue(), overwrite=overwrite)
