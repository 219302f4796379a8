"""Infers the shapes of all tensors of an ONNX graph for given input shapes; the graph may be dynamic.

ONNX's own inference stops if the graph computes a shape. So this visits the nodes in order, evaluates small
integers, which shapes are made of, and infers the outputs of each node from shapes and integers.
"""

from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, TypeProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from granet.errors import UserError

LARGEST = 64
"""Largest integer tensor to evaluate, in elements; shapes have at most six."""

_FOLDED = {
    "Add", "Cast", "Ceil", "Concat", "Constant", "Div", "Floor", "Gather", "Max", "Mul", "Neg", "Range",
    "Reshape", "Slice", "Squeeze", "Sub", "Unsqueeze",
}  # fmt: skip


class GraphShapes:
    """Shape and element type of every tensor, and the values of small integer tensors.

    Args:
        model: the model; it is not changed.
        inputs: shape of each graph input by name.

    Raises:
        UserError: if a node does not fit its inputs.
    """

    def __init__(self, model: onnx.ModelProto, inputs: dict[str, tuple[int, ...]]) -> None:
        self._types: dict[str, TypeProto] = {}
        self._values: dict[str, NDArray[np.int64]] = {}
        self._opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
        for value in model.graph.input:
            kind = value.type.tensor_type.elem_type
            self._types[value.name] = helper.make_tensor_type_proto(kind, inputs[value.name])
        for tensor in model.graph.initializer:
            self._add_tensor(tensor.name, tensor)
        for node in model.graph.node:
            self._visit(node)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor.

        Raises:
            UserError: if it is unknown.
        """
        dims = self._types[name].tensor_type.shape.dim if name in self._types else None
        if dims is None or any(not dim.HasField("dim_value") for dim in dims):
            raise UserError(f"the shape of {name} cannot be inferred: export the model with --size")
        return tuple(dim.dim_value for dim in dims)

    def element_bytes(self, name: str) -> float:
        """Bytes of one element; half a byte for 4-bit types."""
        kind = self._types[name].tensor_type.elem_type
        if kind in (TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1):
            return 0.5
        return float(helper.tensor_dtype_to_np_dtype(kind).itemsize)

    def element_type(self, name: str) -> int:
        """The ``TensorProto`` type of its elements."""
        return int(self._types[name].tensor_type.elem_type)

    def _add_tensor(self, name: str, tensor: TensorProto) -> None:
        self._types[name] = helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
        if tensor.data_type == TensorProto.INT64 and int(np.prod(tensor.dims)) <= LARGEST:
            self._values[name] = numpy_helper.to_array(tensor)

    def _visit(self, node: onnx.NodeProto) -> None:
        if node.op_type == "Shape" and self._is_known(node.input[0]):
            attributes = {item.name: item.i for item in node.attribute}
            whole = self.shape(node.input[0])
            part = whole[attributes.get("start", 0) : attributes.get("end", len(whole))]
            self._values[node.output[0]] = np.array(part, np.int64)
        elif node.op_type in _FOLDED and all(name in self._values for name in node.input if name):
            self._fold(node)
        self._infer(node)

    def _fold(self, node: onnx.NodeProto) -> None:
        feeds = {name: self._values[name] for name in node.input if name}
        results = ReferenceEvaluator(node, opsets={"": self._opset}).run(None, feeds)
        for name, result in zip(node.output, results, strict=True):
            value = np.asarray(result)
            if value.dtype == np.int64 and value.size <= LARGEST:
                self._values[name] = value

    def _infer(self, node: onnx.NodeProto) -> None:
        schema = onnx.defs.get_schema(node.op_type, self._opset, node.domain)
        known = {name: self._types[name] for name in node.input if name in self._types}
        data = {
            name: numpy_helper.from_array(self._values[name], name)
            for name in node.input
            if name in self._values
        }
        imports = [helper.make_opsetid("", self._opset)]
        try:
            found = shape_inference.infer_node_outputs(schema, node, known, data, opset_imports=imports)
        except (onnx.checker.ValidationError, shape_inference.InferenceError, KeyError) as error:
            raise UserError(f"{node.op_type} {node.name}: its shapes do not fit: {error}") from error
        self._types.update(found)

    def _is_known(self, name: str) -> bool:
        dims: Iterable[onnx.TensorShapeProto.Dimension] = (
            self._types[name].tensor_type.shape.dim if name in self._types else ()
        )
        return name in self._types and all(dim.HasField("dim_value") for dim in dims)
