"""The conversion to float16 against the export of a float16 network, an independent implementation."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from calibration.qdq.fp16 import to_half
from calibration.simulation import Simulation
from export.onnx.export import ExportOptions, build_model
from granet import GraNet, GraNetConfig
from granet.errors import UserError
from tests.calibration import sample


def test_it_agrees_with_the_float16_of_the_exporter() -> None:
    ours = Simulation(to_half(sample.model()), sample.metadata())
    theirs = Simulation(sample.model("fp16"), sample.metadata("fp16"))
    for picture in sample.pictures():
        np.testing.assert_array_equal(ours.run(picture), theirs.run(picture))


def test_the_picture_stays_float32() -> None:
    """A picture in float16 would be off by up to an eighth of a grey level."""
    inferred = onnx.shape_inference.infer_shapes(to_half(sample.model()), strict_mode=True)
    kinds = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    assert kinds["div"] == kinds["sub"] == kinds["add_16"] == TensorProto.FLOAT
    assert kinds["cat_18"] == kinds["add_8"] == TensorProto.FLOAT16
    casts = [node for node in inferred.graph.node if node.op_type == "Cast"]
    assert len(casts) == 6  # two for the frames' bytes, two for each stage


def test_a_weight_beyond_float16_is_refused() -> None:
    model = sample.model()
    tensor = next(t for t in model.graph.initializer if t.name.endswith("coarse.mask.weight"))
    array = numpy_helper.to_array(tensor).copy()
    array[0, 0, 0, 0] = 70000
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    with pytest.raises(UserError, match=r"coarse\.mask\.weight has weights too large for float16"):
        to_half(model)


def test_a_layer_between_the_ends_of_a_stage_may_have_as_many_channels_as_a_folded_picture() -> None:
    """In float16 from the first convolution of a stage to its last, and nowhere else."""
    config = GraNetConfig(fold=2, channels=12, growth=12, dense_layers=2, nonlocal_channels=12, fine_blocks=2)
    model = to_half(build_model(GraNet(config).eval(), ExportOptions(size=(32, 48))))
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    assert len(casts) == 6  # two for the frames' bytes, two for each stage
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, strict_mode=True), full_check=True)
