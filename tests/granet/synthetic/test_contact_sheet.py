"""The contact sheet of the synthetic rain: it shows more rain to the right, and it falls."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from granet.app.console import run_app
from granet.synthetic.contact_sheet import app, contact_sheet


def test_it_shows_every_rain_lighter_to_the_left_and_falling(tmp_path: Path) -> None:
    assert run_app(app, [str(tmp_path / "rain.png")]) == 0
    sheet = cv2.imread(str(tmp_path / "rain.png"))
    assert sheet is not None
    np.testing.assert_array_equal(sheet[..., ::-1], contact_sheet())
    rows, columns = 3, 4
    cells = sheet.reshape(rows, sheet.shape[0] // rows, columns, sheet.shape[1] // columns, 3).astype(float)
    pictures = cells[:, -160:, :, :240]  # without captions and gaps
    brightness = pictures.mean(axis=(1, 3, 4))
    assert (np.diff(brightness, axis=1) > 0).all()
    moved = np.abs(pictures[0] - pictures[1]).mean(axis=(0, 2, 3))
    assert (moved > 0.5).all()


@pytest.mark.parametrize(("name", "wanted"), [("rain.jpg", ".png"), ("no/rain.png", "cannot be written")])
def test_a_name_it_cannot_write_is_one_line(
    name: str, wanted: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_app(app, [str(tmp_path / name)]) == (2 if name.endswith(".jpg") else 1)
    err = capfd.readouterr().err
    assert wanted in err and err.count("\n") == 1


def test_a_sheet_does_not_replace_one_that_was_made_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path, kept = tmp_path / "rain.png", tmp_path / "rain.part.png"

    def slow_sheet() -> NDArray[np.uint8]:
        path.write_bytes(b"of another program")
        return contact_sheet()

    monkeypatch.setattr("granet.synthetic.contact_sheet.contact_sheet", slow_sheet)
    assert run_app(app, [str(path)]) == 1
    message = f"error: {path}: was created by another program meanwhile; the output is kept as {kept}\n"
    assert capfd.readouterr().err == message
    assert path.read_bytes() == b"of another program" and cv2.imread(str(kept)) is not None


def test_a_sheet_is_not_replaced_unasked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rain.png").write_bytes(b"mine")
    assert run_app(app, [str(tmp_path / "rain.png")]) == 1
    assert "--overwrite" in capfd.readouterr().err
    assert (tmp_path / "rain.png").read_bytes() == b"mine"
