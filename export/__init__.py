"""From a PyTorch GraNet to ONNX files that TensorRT, ONNX Runtime and OpenVINO run."""
