"""Files of ours: ONNX models, their metadata and their manifests."""
