"""Explicit Q/DQ in an ONNX graph: where it stands, and writing it."""
