"""What a training tells: a JSON line an epoch, and a picture of loss and PSNR."""

import io
import json
from pathlib import Path
from typing import Any

from granet.app.files import write_atomically
from granet.errors import UserError

Line = dict[str, Any]


class TrainingLog:
    """``log.jsonl``: a line an epoch, with the keys that :class:`granet.training.trainer.Trainer` writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: Line) -> None:
        """Adds a line.

        Raises:
            UserError: if it cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, allow_nan=False) + "\n")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from error

    def read(self) -> list[Line]:
        """The lines; what a killed process left of one is left out.

        Raises:
            UserError: if the file cannot be read.
        """
        try:
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror}") from error
        lines = []
        for row in text.splitlines():
            try:
                lines.append(json.loads(row))
            except ValueError:
                continue
        return lines

    def keep_up_to(self, samples: int) -> None:
        """Drops the lines of epochs that a resumed training goes through again.

        Raises:
            UserError: if the file cannot be written.
        """
        kept = [json.dumps(line) + "\n" for line in self.read() if line["samples"] <= samples]
        write_file(self.path, "".join(kept).encode())


def write_file(path: Path, content: bytes) -> None:
    """Writes a file, under its name only when it is complete.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error


def draw_training(lines: list[Line], path: Path) -> None:
    """Draws loss and validation PSNR over the epochs as a PNG.

    Args:
        lines: of :class:`TrainingLog`, at least one.
        path: of the picture.

    Raises:
        UserError: if it cannot be written.
    """
    from matplotlib.figure import Figure  # takes a second, and only training needs it

    figure = Figure(figsize=(9, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    epochs = [line["epoch"] for line in lines]
    above.plot(epochs, [line["loss"] for line in lines], color="tab:gray", marker=".")
    above.set_ylabel("training loss (MAE)")
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
    write_file(path, buffer.getvalue())
