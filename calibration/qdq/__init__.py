"""Explicit Q/DQ in an ONNX graph: placement and rewriting."""
