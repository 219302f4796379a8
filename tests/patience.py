"""How long tests wait for something that must happen."""

PATIENCE = 300.0
"""Seconds: far more than anything takes on the slowest machine, so that only what hangs fails."""
