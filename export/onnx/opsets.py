"""The ONNX opsets that a checkpoint can be exported to."""

DEFAULT_OPSET = 20
"""The newest opset that every supported TensorRT parses (10.3 of JetPack 6 stops at 20)."""

OPSETS = range(18, 25)
"""The Split of the attention into chunks needs opset 18; the TensorRT parser supports up to 24."""
