"""The training log: one JSON line per epoch."""

import json
from pathlib import Path
from typing import Any

from granet.app.files import write_atomically
from granet.app.input_file import LOG_BYTES, read_bounded
from granet.app.schema import to_json
from granet.errors import UserError

Line = dict[str, Any]


class TrainingLog:
    """``log.jsonl``: one line per epoch; :class:`granet.training.trainer.Trainer` defines the keys."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: Line) -> None:
        """Appends a line.

        Raises:
            UserError: if the file cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(to_json(line) + "\n")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from error

    def read(self) -> list[Line]:
        """Reads the lines; skips a partial line that a killed process left.

        Raises:
            UserError: if the file cannot be read.
        """
        data = read_bounded(self.path, LOG_BYTES) if self.path.exists() else b""
        text = data.decode(errors="replace")
        lines = []
        for row in text.splitlines():
            try:
                lines.append(json.loads(row))
            except ValueError:
                continue
        return lines

    def keep_up_to(self, samples: int) -> None:
        """Drops the lines of epochs that a resumed training will repeat.

        Raises:
            UserError: if the file cannot be written.
        """
        kept = [to_json(line) + "\n" for line in self.read() if line["samples"] <= samples]
        write_atomically(self.path, "".join(kept).encode())


def summary(line: Line) -> str:
    """Formats a line of the log for the terminal."""
    best = " (best)" if line["best"] else ""
    return (
        f"epoch {line['epoch']}: loss {line['loss']:.4f}, PSNR {line['psnr_paper_db']:.2f} dB paper, "
        f"{line['psnr_matlab_db']:.2f} dB matlab{best}; input {line['rainy_paper_db']:.2f} and "
        f"{line['rainy_matlab_db']:.2f}; lr {line['lr']:.2g}, {line['minutes']:.1f} min"
    )
