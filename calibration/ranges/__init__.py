"""Computes the ranges of a model's tensors from rain pictures."""
