"""Measures the loss of each quantised layer and searches for the fewest layers to keep."""
