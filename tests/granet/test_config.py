"""Configurations: what the issue and the paper say they are, and what no file can make of them."""

import json
from dataclasses import asdict, fields, replace

import pytest

from granet.config import GraNetConfig
from granet.errors import UserError

NUMBERS = ["channels", "growth", "dense_layers", "nonlocal_channels", "fine_blocks", "key_stride", "fold"]
SWITCHES = ["region_aware", "fine_stage", "context", "residual_output"]


def test_paper_has_the_widths_of_the_issue_and_the_literal_equation_6() -> None:
    paper = GraNetConfig.paper()
    assert (paper.channels, paper.growth, paper.dense_layers) == (64, 32, 4)
    assert (paper.nonlocal_channels, paper.fine_blocks, paper.key_stride) == (32, 4, 1)
    assert paper.region_extent == 512  # section 4.1: the long side of a training image
    assert paper.fold == 1  # the paper folds nothing


@pytest.mark.parametrize(("name", "channels", "growth"), [("lite", 32, 16), ("base", 64, 32)])
def test_lite_and_base_are_the_same_architecture_on_folded_frames(
    name: str, channels: int, growth: int
) -> None:
    paper, preset = GraNetConfig.paper(), GraNetConfig.preset(name)
    assert (preset.fold, preset.channels, preset.growth) == (2, channels, growth)
    assert (preset.nonlocal_channels, preset.key_stride) == (16, 4)
    same = [
        field.name for field in fields(paper) if getattr(paper, field.name) == getattr(preset, field.name)
    ]
    assert {"dense_layers", "fine_blocks", "region_extent", *SWITCHES} <= set(same)


@pytest.mark.parametrize("name", ["paper", "base", "lite"])
def test_presets_go_by_name(name: str) -> None:
    assert GraNetConfig.preset(name) == getattr(GraNetConfig, name)()


def test_an_unknown_preset_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(UserError, match=r"'tiny'.*paper, base, lite"):
        GraNetConfig.preset("tiny")


def test_ablations_are_the_rows_of_table_2() -> None:
    settings = {
        name: (config.region_aware, config.fine_stage, config.context and config.fine_stage)
        for name, config in GraNetConfig.lite().ablations().items()
    }
    assert settings == {
        "Only Coarse w/o RA": (False, False, False),
        "Only Coarse w/ RA": (True, False, False),
        "Coarse + Fine (w/o Context)": (True, True, False),
        "Coarse + Fine (w/ Context)": (True, True, True),
    }


@pytest.mark.parametrize("config", [GraNetConfig.paper(), replace(GraNetConfig.lite(), region_extent=None)])
def test_json_keeps_everything(config: GraNetConfig) -> None:
    assert GraNetConfig.from_dict(json.loads(json.dumps(asdict(config)))) == config


def test_a_file_from_before_a_setting_existed_gets_its_default() -> None:
    assert GraNetConfig.from_dict({"channels": 16}) == replace(GraNetConfig(), channels=16, fold=1)


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(UserError, match="unknown settings: depth, widht"):
        GraNetConfig.from_dict({"widht": 16, "depth": 1})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, 10**9, 10**30, True, 16.0, "16", None, [16]])
def test_an_absurd_number_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(UserError, match=name):
        GraNetConfig.from_dict({name: value})


@pytest.mark.parametrize(
    ("fold", "extent", "reason"),
    [
        (3, 512, "fold 3 needs a region_extent that is a multiple of 24 pixels, not 512"),
        (2, 24, "fold 2 needs a region_extent that is a multiple of 16 pixels, not 24"),
        (9, 512, "fold must be an integer from 1 to 8, not 9"),
        (0, 512, "fold must be an integer from 1 to 8, not 0"),
        (True, 512, "fold must be an integer from 1 to 8, not True"),
    ],
)
def test_a_fold_that_the_size_rule_cannot_serve_is_refused_by_a_line(
    fold: int, extent: int, reason: str
) -> None:
    with pytest.raises(UserError) as caught:
        GraNetConfig(fold=fold, region_extent=extent)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("fold", "extent"), [(3, 504), (3, None), (5, 40), (8, 512)])
def test_a_fold_that_it_serves(fold: int, extent: int | None) -> None:
    config = GraNetConfig(fold=fold, region_extent=extent)
    assert (config.size_rule.multiple, config.size_rule.extent) == (8 * fold, extent)
    assert config.picture_channels == 3 * fold * fold


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_a_switch_is_true_or_false(name: str, value: object) -> None:
    with pytest.raises(UserError, match=name):
        GraNetConfig.from_dict({name: value})


@pytest.mark.parametrize("value", [0, -8, 100, True, 512.0, "512"])
def test_an_absurd_region_extent_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="region extent"):
        GraNetConfig.from_dict({"region_extent": value})
