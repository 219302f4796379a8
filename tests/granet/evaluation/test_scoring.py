"""Evaluations of flat pictures: a picture off by e levels has 20 log10(255 / e) dB by ``paper``, and
219/255 of that error by ``matlab``, whose Y has 219 levels."""

import json
from pathlib import Path

import numpy as np
import pytest

from granet.data.datasets import Pair, open_dataset
from granet.data.image_files import Pixels
from granet.errors import UserError
from granet.evaluation.scoring import RAINY, evaluate, evaluate_dry, evaluate_stages, rain_of
from tests.granet.flat_data import CLEAN, RAIN, flat, flat_dataset, halve, psnr, write_pairs


def quiet(done: int, name: str) -> None:
    """No progress."""


def worse(frames: Pixels) -> Pixels:
    return np.asarray(frames + 42, np.uint8)


def test_results_stand_beside_the_rainy_input_in_the_order_of_the_models(tmp_path: Path) -> None:
    evaluation = evaluate(flat_dataset(tmp_path), {"half": halve, "worse": worse}, None, quiet)
    assert evaluation.subjects == (RAINY, "half", "worse")
    assert [row.name for row in evaluation.rows] == ["rain-1", "rain-2", "rain-3"]
    for row, rain in zip(evaluation.rows, RAIN, strict=True):
        assert row.scores[RAINY].paper.psnr_db == pytest.approx(psnr(rain), abs=1e-6)
        assert row.scores["half"].paper.psnr_db == pytest.approx(psnr(rain / 2), abs=1e-6)
        assert row.scores["worse"].paper.psnr_db == pytest.approx(psnr(rain + 42), abs=1e-6)
        assert row.scores["half"].matlab.psnr_db == pytest.approx(psnr(rain / 2 * 219 / 255), abs=1e-6)


def test_means_are_of_the_decibels_and_the_worst_is_the_lowest(tmp_path: Path) -> None:
    evaluation = evaluate(flat_dataset(tmp_path), {"half": halve}, None, quiet)
    expected = sum(psnr(rain) for rain in RAIN) / 3
    assert evaluation.mean(RAINY, "paper").psnr_db == pytest.approx(expected, abs=1e-6)
    # Two flat pictures have the contrast of the constants alone: SSIM is its luminance term.
    ssims = [(2 * CLEAN * (CLEAN + r) + 2.55**2) / (CLEAN**2 + (CLEAN + r) ** 2 + 2.55**2) for r in RAIN]
    assert evaluation.mean(RAINY, "paper").ssim == pytest.approx(np.mean(ssims), abs=1e-9)
    assert evaluation.worst("half", "paper").name == evaluation.worst("half", "matlab").name == "rain-3"


def test_the_first_pictures_alone_and_it_says_so(tmp_path: Path) -> None:
    told: list[tuple[int, str]] = []
    evaluation = evaluate(flat_dataset(tmp_path), {}, 2, lambda *done: told.append(done))
    assert told == [(1, "rain-1"), (2, "rain-2")]
    assert evaluation.extent == "first 2 of 3 pictures"
    assert evaluate(open_dataset(f"rain100l:{tmp_path}", "test"), {}, 9, quiet).extent == "3 pictures"


def test_json_has_means_worst_and_rows(tmp_path: Path) -> None:
    evaluation = evaluate(flat_dataset(tmp_path), {"half": halve}, 2, quiet)
    values = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert (values["data"], values["title"]) == (f"rain100l:{tmp_path}", "Rain100L")
    assert (values["pictures"], values["of"]) == (2, 3)
    assert values["mean"]["half"]["paper"]["psnr_db"] == pytest.approx((psnr(5) + psnr(10)) / 2, abs=1e-6)
    assert values["worst"][RAINY]["matlab"]["name"] == "rain-2"
    assert values["rows"][0]["name"] == "rain-1"
    assert values["rows"][0][RAINY]["paper"]["psnr_db"] == pytest.approx(psnr(10), abs=1e-6)


def test_the_mask_is_held_against_the_rain_and_the_rest_against_the_dry_picture(tmp_path: Path) -> None:
    def stages(rainy: Pixels) -> tuple[Pixels, Pixels, Pixels]:
        return flat(4), np.asarray(rainy - 4, np.uint8), flat(CLEAN)

    evaluation = evaluate_stages(flat_dataset(tmp_path), stages, None, quiet)
    row = evaluation.rows[1]  # rain of 20 levels
    assert evaluation.subjects == (RAINY, "coarse", "mask", "fine")
    assert row.scores["mask"].paper.psnr_db == pytest.approx(psnr(16), abs=1e-6)
    assert row.scores["coarse"].paper.psnr_db == pytest.approx(psnr(16), abs=1e-6)
    assert row.scores["fine"].paper.psnr_db == 100


def test_rain_is_never_negative() -> None:
    assert rain_of(Pair("", flat(90), flat(100))).max() == 0
    assert rain_of(Pair("", flat(250), flat(10))).min() == 240


def test_dry_pictures_are_held_against_themselves(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    dry = open_dataset(f"clean:{tmp_path / 'clean'}", "test")
    models = {"still": lambda frames: frames, "darker": lambda frames: np.asarray(frames - 3, np.uint8)}
    evaluation = evaluate_dry(dry, models, None, quiet)
    assert evaluation.subjects == ("still", "darker")
    assert evaluation.mean("still", "paper").psnr_db == 100
    assert evaluation.mean("darker", "paper").psnr_db == pytest.approx(psnr(3), abs=1e-6)


def test_an_error_names_the_picture(tmp_path: Path) -> None:
    def fails(frames: Pixels) -> Pixels:
        raise UserError("too small")

    with pytest.raises(UserError, match=r"rain-1: too small$"):
        evaluate(flat_dataset(tmp_path), {"fails": fails}, None, quiet)
