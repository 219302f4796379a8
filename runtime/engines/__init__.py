"""Engines: one file per backend, and two base classes, one that computes and one that forwards."""
