"""Figures: pictures of a sensible size that show what they say, and never half a file."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import granet.paper.plots as plots
from granet.data.image_files import Pixels
from granet.errors import UserError
from granet.evaluation.metrics import Quality, Scores
from granet.evaluation.scoring import Evaluation, Row
from granet.paper.plots import StagesOfPicture, check_figure, draw_boxes, draw_stages
from tests.granet.flat_data import flat, psnr

RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)


def plain(colour: tuple[int, int, int], height: int = 40, width: int = 60) -> Pixels:
    return np.full((height, width, 3), colour, np.uint8)


def share(figure: Pixels, colour: tuple[int, ...]) -> float:
    return float(np.mean((figure == colour).all(axis=2)))


def read(path: Path) -> Pixels:
    return np.asarray(cv2.imread(str(path))[..., ::-1], np.uint8)


def test_stages_stand_in_the_order_of_the_paper(tmp_path: Path) -> None:
    """Figure 7: input, mask, coarse, fine, ground truth; each takes about a fifth of the width."""
    row = StagesOfPicture("p", plain(RED), flat(0, 40, 60), plain(GREEN), plain(BLUE), plain(YELLOW))
    draw_stages(tmp_path / "7.png", [row], "figure 7")
    figure = read(tmp_path / "7.png")
    columns = [
        np.flatnonzero((figure == colour).all(axis=2).any(axis=0)).mean() / figure.shape[1]
        for colour in (RED, GREEN, BLUE, YELLOW)
    ]
    assert columns == pytest.approx([0.1, 0.5, 0.7, 0.9], abs=0.03)
    assert all(share(figure, colour) > 0.08 for colour in (RED, GREEN, BLUE, YELLOW))


def test_a_mask_is_amplified_until_its_brightest_thousandth_is_white(tmp_path: Path) -> None:
    faint = flat(0, 40, 60)
    faint[:, 30:] = 17
    row = StagesOfPicture("p", flat(99), faint, flat(99), flat(99))
    draw_stages(tmp_path / "6.png", [row], "figure 6")
    figure = read(tmp_path / "6.png")
    width = figure.shape[1]
    inside = figure[figure.shape[0] // 2, int(0.3 * width) : int(0.45 * width)]
    assert (inside.min(), inside.max()) == (0, 255)


def test_under_what_has_a_truth_stands_how_near_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path, overwrite: drawn.append(figure))
    row = StagesOfPicture("p", flat(110), flat(10), flat(105), flat(100), flat(100))
    draw_stages(tmp_path / "7.png", [row], "figure 7")
    labels = [cell.get_xlabel().split(" /")[0] for cell in drawn[0].axes]
    assert labels == [f"{psnr(10):.2f} dB", "amplified 25.5 times", f"{psnr(5):.2f} dB", "100.00 dB", ""]


def test_rows_without_a_truth_have_four_columns_and_portraits_keep_their_shape(tmp_path: Path) -> None:
    lying, upright = (
        StagesOfPicture("p", plain(RED, *size), *(plain(BLUE, *size),) * 3) for size in ((40, 60), (60, 40))
    )
    draw_stages(tmp_path / "6.png", [lying, upright], "figure 6")
    figure = read(tmp_path / "6.png")
    red = (figure == RED).all(axis=2)
    assert 0.2 < red.any(axis=0).mean() < 0.25  # a quarter of the width
    heights = np.diff(np.flatnonzero(np.diff(np.r_[0, red.any(axis=1).astype(int), 0])))[::2]
    assert heights[1] / heights[0] == pytest.approx(60 / 40 * 60 / 40, rel=0.05)


def evaluation(title: str, low: float) -> Evaluation:
    rows = [
        Row(
            f"p{i}",
            {
                subject: Scores(
                    Quality(low + i + more, 0.8 + i / 100), Quality(low + i + more, 0.8 + i / 100)
                )
                for subject, more in (("rainy input", 0), ("best.pt", 5))
            },
        )
        for i in range(9)
    ]
    return Evaluation(title, title, 9, tuple(rows))


def test_boxes_have_red_medians_and_a_box_for_each_subject_of_each_data_set(tmp_path: Path) -> None:
    draw_boxes(tmp_path / "8.png", [evaluation("Rain100L", 20), evaluation("Rain100H", 10)])
    figure = read(tmp_path / "8.png")
    assert 0.0005 < share(figure, RED) < 0.02
    gray = (figure == (0xD9, 0xD9, 0xD9)).all(axis=2)
    upper_left = gray[figure.shape[0] // 10 : figure.shape[0] // 2, : figure.shape[1] // 2]
    columns = np.diff(np.r_[0, (upper_left.sum(axis=0) > 10).astype(int), 0])
    assert (columns == 1).sum() == 2  # the rainy input of two data sets


def test_the_median_is_drawn_at_the_median(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path, overwrite: drawn.append(figure))
    draw_boxes(tmp_path / "8.png", [evaluation("Rain100L", 20)])
    axes = drawn[0].axes[0]
    medians = [line.get_ydata()[0] for line in axes.get_lines() if line.get_color() == "red"]
    assert medians == [24, 29]  # of 20 to 28, and of 25 to 33
    assert "PSNR, dB" in axes.get_ylabel() and "paper" in axes.get_ylabel()


def test_the_same_figure_is_the_same_bytes_and_nothing_else_is_left(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_boxes(tmp_path / name, [evaluation("Rain100L", 20)])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_a_figure_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"8\.png: cannot be written: No such file"):
        draw_boxes(tmp_path / "gone" / "8.png", [evaluation("Rain100L", 20)])


def test_a_figure_that_cannot_be_written_is_reported_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there.png"
    there.write_bytes(b"precious")
    (tmp_path / "folder.png").mkdir()
    for path, message in (
        (tmp_path / "a.pdf", "figures are PNG"),
        (tmp_path / "no" / "a.png", "no directory"),
        (tmp_path / "folder.png", "is a directory"),
        (there, "already exists: give --overwrite to replace it"),
    ):
        with pytest.raises(UserError, match=message):
            check_figure(path, overwrite=False)
    check_figure(there, overwrite=True)
    check_figure(tmp_path / "new.png", overwrite=False)
    monkeypatch.setattr("granet.app.extras.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs matplotlib, which is not installed: pip install matplotlib$"):
        check_figure(tmp_path / "new.png", overwrite=False)
