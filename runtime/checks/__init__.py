"""Parity and benchmarks of engines."""
