"""Engines of TensorRT 10, TensorRT 11 and TensorRT-RTX on an NVIDIA GPU."""
