"""The files of granet-export: ONNX models, their metadata and their manifests."""
