"""Configurations: what the issue and the paper say they are, and what no file can make of them."""

import json
from dataclasses import asdict, fields, replace

import pytest

from granet.config import GraNetConfig
from granet.errors import UserError

NUMBERS = ["channels", "growth", "dense_layers", "nonlocal_channels", "fine_blocks", "key_stride"]
SWITCHES = ["region_aware", "fine_stage", "context", "residual_output"]


def test_paper_has_the_widths_of_the_issue_and_the_literal_equation_6() -> None:
    paper = GraNetConfig.paper()
    assert (paper.channels, paper.growth, paper.dense_layers) == (64, 32, 4)
    assert (paper.nonlocal_channels, paper.fine_blocks, paper.key_stride) == (32, 4, 1)
    assert paper.region_extent == 512  # section 4.1: the long side of a training image


def test_lite_is_the_same_architecture() -> None:
    paper, lite = GraNetConfig.paper(), GraNetConfig.lite()
    same = [field.name for field in fields(paper) if getattr(paper, field.name) == getattr(lite, field.name)]
    assert {"dense_layers", "fine_blocks", "region_extent", *SWITCHES} <= set(same)


@pytest.mark.parametrize("name", ["paper", "lite"])
def test_presets_go_by_name(name: str) -> None:
    assert GraNetConfig.preset(name) == getattr(GraNetConfig, name)()


def test_an_unknown_preset_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(UserError, match=r"'tiny'.*paper, lite"):
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
    assert GraNetConfig.from_dict({"channels": 16}) == replace(GraNetConfig(), channels=16)


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(UserError, match="unknown settings: depth, widht"):
        GraNetConfig.from_dict({"widht": 16, "depth": 1})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, 10**9, 10**30, True, 16.0, "16", None, [16]])
def test_an_absurd_number_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(UserError, match=name):
        GraNetConfig.from_dict({name: value})


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_a_switch_is_true_or_false(name: str, value: object) -> None:
    with pytest.raises(UserError, match=name):
        GraNetConfig.from_dict({name: value})


@pytest.mark.parametrize("value", [0, -8, 100, True, 512.0, "512"])
def test_an_absurd_region_extent_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="region extent"):
        GraNetConfig.from_dict({"region_extent": value})
