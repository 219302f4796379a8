"""docs/checkpoints.md: its table of names and shapes is that of the networks."""

import re
from itertools import islice

import pytest
import torch

from granet import GraNet, GraNetConfig
from granet.weights.file_names import ENDINGS
from tests.documents import ROOT

PAGE = (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8")
PRESETS = ("paper", "base", "lite")
Shapes = dict[str, tuple[int, ...]]


def documented(preset: str) -> Shapes:
    """Every name and shape that a reader derives from the table, biases included."""
    shapes: Shapes = {}
    for row in re.findall(r"^\| `([\w.*]+\.weight)` \| (\d+) \| (.+) \|$", PAGE, flags=re.MULTILINE):
        shape = tuple(map(int, row[2].split(" | ")[PRESETS.index(preset)].split("\N{MULTIPLICATION SIGN}")))
        for index in range(int(row[1])):
            name = row[0].replace("*", str(index))
            shapes |= {name: shape, name.replace(".weight", ".bias"): shape[:1]}
    return shapes


@pytest.mark.parametrize("preset", PRESETS)
def test_the_table_has_every_name_and_shape(preset: str) -> None:
    with torch.device("meta"):
        network = GraNet(GraNetConfig.preset(preset))
    assert documented(preset) == {name: tuple(value.shape) for name, value in network.state_dict().items()}


def test_the_page_names_every_ending() -> None:
    introduction = "".join(islice(PAGE.split("## The format")[1].splitlines(), 4))
    assert all(f"`{ending}`" in introduction for ending in ENDINGS)
