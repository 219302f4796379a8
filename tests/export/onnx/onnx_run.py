"""Exports a small module and runs it in ONNX Runtime."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.onnx.opsets import DEFAULT_OPSET
from export.onnx.translate import translate


def exported(
    module: nn.Module, example: Tensor, axes: tuple[int, int] | None = None, opset: int = DEFAULT_OPSET
) -> onnx.ModelProto:
    """``axes``: of height and width where they are open, in multiples of 8."""
    return translate(module.eval(), example, axes, 8, ["out"], opset)


def run(model: onnx.ModelProto, x: Tensor) -> NDArray[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: NDArray[Any] = session.run(None, {"rainy": x.numpy()})[0]
    return result


def assert_same_bits(model: onnx.ModelProto, module: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        expected = module(x)
    np.testing.assert_array_equal(run(model, x), expected.numpy())


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}
