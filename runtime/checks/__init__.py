"""Parity checks and benchmarks of engines."""
