"""Tables for people: the figures of the paper are the paper's, and what is missing is said."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from granet.config import GraNetConfig
from granet.evaluation.metrics import Quality, Scores
from granet.evaluation.scoring import Evaluation, Row
from granet.paper.published import TABLE_1, TABLE_2, TABLE_3
from granet.paper.tables import (
    ablation_of,
    print_dry,
    print_summary,
    print_table1,
    print_table2,
    print_table3,
)

PAPER = Path(__file__).parents[2] / "files" / "granet-2019-tables.txt"

ABLATIONS = GraNetConfig.lite().ablations()


def evaluation(title: str, *subjects: str, pictures: int = 4, of: int = 4) -> Evaluation:
    """Subject i has 30 + i dB by ``paper`` in the mean, 31 + i by ``matlab``; picture ``p0`` is the worst."""
    rows = []
    for number in range(pictures):
        away = number - (pictures - 1) / 2
        scores = {
            subject: Scores(Quality(30 + i + away, 0.9012), Quality(31 + i + away, 0.9134))
            for i, subject in enumerate(subjects)
        }
        rows.append(Row(f"p{number}", scores))
    return Evaluation(f"spec:{title}", title, of, tuple(rows))


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The printed text with one blank in place of each run of blanks and table lines."""
    return [re.sub(r"[ │┃]+", " ", line).strip() for line in capsys.readouterr().out.splitlines()]


def numbers(line: str) -> list[float]:
    """The cells of a row of the paper's tables; footnotes set aside."""
    return [float(cell.strip("*")) for cell in line.split("\t")[2:]]


def test_table_1_is_the_papers() -> None:
    text = PAPER.read_text().splitlines()
    for data, methods in TABLE_1.items():
        start = next(i for i, line in enumerate(text) if line.startswith(f"{data}\tPSNR"))
        psnr, ssim = numbers(text[start]), numbers(text[start + 1])
        assert methods["GraNet"] == Quality(psnr[-1], ssim[-1])
        assert methods["NLEDN"] == Quality(psnr[-2], ssim[-2])
    assert len(TABLE_1) == 4


def test_table_2_is_the_papers() -> None:
    text = PAPER.read_text().splitlines()
    for data, settings in TABLE_2.items():
        start = next(i for i, line in enumerate(text) if line == data)
        for number, (name, quality) in enumerate(settings.items()):
            line = text[start + 2 + number].split("\t")
            assert (name, quality) == (line[0], Quality(float(line[1]), float(line[2])))
    assert all(list(settings) == list(ABLATIONS) for settings in TABLE_2.values())


def test_table_3_is_the_papers() -> None:
    text = PAPER.read_text().splitlines()
    for stage, name in (("coarse", "Coarse"), ("mask", "Mask")):
        start = next(i for i, line in enumerate(text) if line.startswith(f"{name}\tPSNR"))
        psnr, ssim = numbers(text[start]), numbers(text[start + 1])
        published = [methods[stage] for methods in TABLE_3.values()]
        assert published == [Quality(*pair) for pair in zip(psnr, ssim, strict=True)]


@pytest.mark.parametrize("name", list(ABLATIONS))
def test_a_configuration_says_which_ablation_it_is(name: str) -> None:
    assert ablation_of(ABLATIONS[name]) == name


def test_context_means_nothing_without_a_fine_stage_and_other_networks_are_none_of_the_four() -> None:
    coarse = ABLATIONS["Only Coarse w/ RA"]
    assert ablation_of(replace(coarse, context=False)) == "Only Coarse w/ RA"
    assert ablation_of(replace(GraNetConfig(), region_aware=False)) is None


def test_the_summary_has_both_metrics_and_the_worst_picture(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(evaluation("Rain100L", "rainy input", "best.pt", of=9))
    printed = lines(capsys)
    assert "Rain100L, first 4 of 9 pictures" in printed
    assert "rainy input 30.00 / 0.9012 31.00 / 0.9134 28.50 / 0.9012 p0" in printed
    assert "best.pt 31.00 / 0.9012 32.00 / 0.9134 29.50 / 0.9012 p0" in printed


def test_table_1_puts_the_published_row_beside_the_metric_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    print_table1([evaluation(title, "rainy input", "a.pt", "b.onnx") for title in ("Rain100L", "mine")])
    printed = lines(capsys)
    own = "30.00 / 0.9012 31.00 / 0.9012 32.00 / 0.9012"
    assert f"Rain100L paper {own} 36.57 / 0.9747 37.55 / 0.9806" in printed
    assert "4 pictures matlab 31.00 / 0.9134 32.00 / 0.9134 33.00 / 0.9134 - -" in printed
    assert f"mine paper {own} - -" in printed
    assert any("published: results in the paper" in line for line in printed)
    assert not any("whole test sets" in line for line in printed)


def test_a_part_of_a_test_set_is_not_compared_with_published_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table1([evaluation("Rain100L", "rainy input", of=100)])
    printed = lines(capsys)
    assert any(line.startswith("first 4 of 100 pictures matlab") for line in printed)
    assert "published results are for whole test sets, these are not" in printed


def test_table_2_says_which_settings_are_missing(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"full.pt": "Coarse + Fine (w/ Context)", "coarse.pt": "Only Coarse w/ RA"}
    print_table2([evaluation("Rain100H", "rainy input", "coarse.pt", "full.pt")], settings)
    printed = lines(capsys)
    assert "Only Coarse w/ RA coarse.pt 31.00 / 0.9012 32.00 / 0.9134 30.77 / 0.8964" in printed
    assert "Coarse + Fine (w/ Context) full.pt 32.00 / 0.9012 33.00 / 0.9134 33.16 / 0.9290" in printed
    assert "4 pictures Only Coarse w/o RA missing - - 30.45 / 0.8922" in printed
    assert any(
        line.startswith("missing: Only Coarse w/o RA, Coarse + Fine (w/o Context);") for line in printed
    )


def test_table_3_has_the_stages_and_says_what_the_mask_is_held_against(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table3("best.pt", [evaluation("Rain100L", "rainy input", "coarse", "mask", "fine")])
    printed = lines(capsys)
    assert "4 pictures coarse 31.00 / 0.9012 32.00 / 0.9134 23.10 / 0.7947" in printed
    assert "mask 32.00 / 0.9012 33.00 / 0.9134 23.50 / 0.1442" in printed
    assert any("rainy - clean" in line for line in printed)


def test_a_long_name_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a-very-long-name-of-a-checkpoint-" * 6 + "end.pt"
    print_dry(evaluation("street", name))
    cells = [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert "".join(cells) == name
