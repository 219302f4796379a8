"""The CUDA calls of the TensorRT engine: a small contract, and one file per package that implements it."""
