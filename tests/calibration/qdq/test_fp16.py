"""The typed conversion against the export of a float16 network, which is another implementation of it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from calibration.qdq.fp16 import to_half
from calibration.simulation import Simulation
from granet.errors import UserError
from tests.calibration import sample


def test_it_computes_what_the_exporters_own_float16_computes() -> None:
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
    with pytest.raises(UserError, match=r"coarse\.mask\.weight has weights beyond float16"):
        to_half(model)
