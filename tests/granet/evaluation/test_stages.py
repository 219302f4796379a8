"""Stages as pictures: the same computation as the network's own, in levels."""

from pathlib import Path

import numpy as np
import torch

from granet import load_checkpoint
from granet.data.image_files import Pixels
from granet.evaluation.stages import open_stages
from granet.synthetic.street import street


def levels(image: torch.Tensor) -> Pixels:
    return np.rint(image.detach().numpy()[0].transpose(1, 2, 0) * 255).clip(0, 255).astype(np.uint8)


def test_stages_are_the_networks_in_levels(engines_checkpoint: Path) -> None:
    rainy = street(37, 50)  # padded to 40 x 56
    image = torch.from_numpy(rainy.transpose(2, 0, 1)[None] / np.float32(255))
    expected = load_checkpoint(engines_checkpoint).forward_stages(image)
    for picture, stage in zip(open_stages(engines_checkpoint)(rainy), expected, strict=True):
        assert picture.shape == rainy.shape and picture.dtype == np.uint8
        # Not all: two layouts of memory round differently at near-ties.
        assert np.mean(picture != levels(stage)) < 0.01


def test_the_picture_is_not_changed(engines_checkpoint: Path) -> None:
    rainy = street(32, 48)
    before = rainy.copy()
    open_stages(engines_checkpoint)(rainy)
    np.testing.assert_array_equal(rainy, before)
