"""A small graph with the operators of an exported GraNet that matter for ranges."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.runtime.handmade import METADATA, save

WEIGHTS = np.random.default_rng(7).normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
FLOATS = {"cast", "nchw", "unit", "conv", "relu", "pooled", "flat", "wide", "sum", "scaled", "clipped"}
"""Every floating-point tensor of the frames graph."""


def small_model(**changes: Any) -> ModelProto:
    """Frames of any size unless ``changes`` (of the metadata) say otherwise."""
    metadata = replace(METADATA, **changes)
    sides = [metadata.height or "h", metadata.width or "w"]
    batch = metadata.batch or "n"
    frames = metadata.layout == "frames"
    node = helper.make_node
    picture = TensorProto.UINT8 if frames else TensorProto.FLOAT
    shape = [batch, *sides, 3] if frames else [batch, 3, *sides]
    head = [
        node("Cast", ["rainy"], ["cast"], to=TensorProto.FLOAT),
        node("Transpose", ["cast"], ["nchw"], perm=[0, 3, 1, 2]),
        node("Div", ["nchw", "top"], ["unit"]),
    ]
    nodes = [
        *(head if frames else [node("Identity", ["rainy"], ["unit"])]),
        node("Conv", ["unit", "w"], ["conv"], pads=[1, 1, 1, 1]),
        node("Relu", ["conv"], ["relu"]),
        node("MaxPool", ["relu"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Reshape", ["pooled", "line"], ["flat"]),
        node("Concat", ["conv", "relu"], ["wide"], axis=1),
        node("Add", ["unit", "unit"], ["sum"]),
        node("Mul", ["sum", "top"], ["scaled"]),
        node("Clip", ["scaled", "zero", "top"], ["clipped"]),
        *([node("Transpose", ["clipped"], ["nhwc"], perm=[0, 2, 3, 1])] if frames else []),
        node("Cast", ["nhwc" if frames else "clipped"], ["derained"], to=picture),
    ]
    constants = {"w": WEIGHTS, "top": np.float32(255), "zero": np.float32(0), "line": np.array([-1])}
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("rainy", picture, shape)],
        [helper.make_tensor_value_info("derained", picture, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"granet": metadata.to_json()})
    onnx.checker.check_model(model)
    return model


def small_file(path: Path, **changes: Any) -> Path:
    return save(small_model(**changes), path)


def all_values(model: ModelProto, frame: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """Every float tensor for one frame in the layout of the model: by marking all of them as outputs."""
    import onnxruntime

    marked = ModelProto()
    marked.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output if name != "derained"]
    for name in names:
        marked.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(marked.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, {"rainy": frame}), strict=True))
