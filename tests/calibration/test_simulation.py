"""The simulation gives the frames of the exported graph, whatever its colour order and fold."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from calibration.simulation import Simulation, to_pixels
from export.onnx.export import ExportOptions, build_model
from granet import GraNet, GraNetConfig
from runtime.artefacts.metadata import ModelMetadata
from runtime.artefacts.onnx_file import read_metadata
from tests.runtime.handmade import METADATA

PACKAGED = Path(__file__).parents[2] / "runtime/models/lite.onnx"


def metadata(config: GraNetConfig, layout: str, colour: str) -> ModelMetadata:
    known = asdict(METADATA) | {"config": asdict(config), "layout": layout, "colour": colour}
    return ModelMetadata(
        **known | {"multiple": config.size_rule.multiple, "height": 32, "width": 48, "batch": 1}
    )


def picture(height: int = 32, width: int = 48) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)


def frames_of(model: onnx.ModelProto, rgb: np.ndarray, colour: str) -> np.ndarray:
    """The result of the graph itself for an RGB picture, as RGB."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    frame = rgb[None, ..., ::-1] if colour == "bgr" else rgb[None]
    (result,) = session.run(["derained"], {"rainy": np.ascontiguousarray(frame)})
    return result[0, ..., ::-1] if colour == "bgr" else result[0]


@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize("colour", ["bgr", "rgb"])
def test_it_gives_the_frames_of_the_graph(colour: str, fold: int) -> None:
    torch.manual_seed(0)
    config = GraNetConfig(channels=8, growth=4, dense_layers=1, nonlocal_channels=4, fine_blocks=1, fold=fold)
    model = build_model(GraNet(config).eval(), ExportOptions(size=(32, 48), colour=colour))  # type: ignore[arg-type]
    found = to_pixels(Simulation(model, metadata(config, "frames", colour)).run(picture()))
    difference = np.abs(found.astype(int) - frames_of(model, picture(), colour))
    # ONNX Runtime optimises one of the two graphs; a swapped colour or pixel would be far off.
    assert difference.max() <= 1 and np.mean(difference > 0) < 1e-2


def test_it_gives_the_frames_of_a_file_of_an_earlier_version() -> None:
    """Its graph gathers the colours after rounding."""
    rgb, meta = picture(64, 80), read_metadata(PACKAGED)
    model = onnx.load(PACKAGED)
    found = to_pixels(Simulation(model, meta).run(rgb))
    assert np.mean(np.abs(found.astype(int) - frames_of(model, rgb, meta.colour))) < 1e-2
