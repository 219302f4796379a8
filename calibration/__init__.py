"""Quantisation: rain pictures, calibrated ranges, explicit Q/DQ, and the search for layers to keep."""

from granet.app.no_telemetry import report_nothing

report_nothing()
