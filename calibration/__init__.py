"""Quantisation: rain pictures, calibrated ranges, explicit Q/DQ, and the search for layers to keep."""
