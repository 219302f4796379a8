"""CUDA as the TensorRT engine needs it: one small contract, and one file for each package that has it."""
