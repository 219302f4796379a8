"""A plot of training loss and validation PSNR."""

import io
from pathlib import Path

from granet.app.files import write_atomically
from granet.training.log import Line


def draw_training(lines: list[Line], path: Path) -> None:
    """Plots loss and validation PSNR over the epochs as a PNG.

    Args:
        lines: lines of :class:`granet.training.log.TrainingLog`, at least one.
        path: the file to write.

    Raises:
        UserError: if the file cannot be written.
    """
    from matplotlib.figure import Figure  # the import takes a second, and only training needs it

    figure = Figure(figsize=(9, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    epochs = [line["epoch"] for line in lines]
    above.plot(epochs, [line["loss"] for line in lines], color="tab:gray", marker=".")
    above.set_ylabel("training loss")
    above.set_yscale("log")
    for metric, colour in (("paper", "tab:blue"), ("matlab", "tab:orange")):
        below.plot(
            epochs, [line[f"psnr_{metric}_db"] for line in lines], color=colour, marker=".", label=metric
        )
        below.axhline(lines[-1][f"rainy_{metric}_db"], color=colour, linestyle=":", linewidth=1)
    best = max(lines, key=lambda line: float(line["psnr_paper_db"]))
    below.plot(
        best["epoch"],
        best["psnr_paper_db"],
        "o",
        mfc="none",
        color="tab:blue",
        markersize=10,
        label="best.pt",
    )
    below.set_ylabel("validation PSNR on Y, dB\n(dotted: the rainy input)")
    below.set_xlabel("epoch")
    below.xaxis.get_major_locator().set_params(integer=True)
    below.legend()
    for axes in (above, below):
        axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomically(path, buffer.getvalue())
