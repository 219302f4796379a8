"""From a PyTorch GraNet to an ONNX file."""
