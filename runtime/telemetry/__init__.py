"""Telemetry: health, rates and latencies of a run, on the terminal and over HTTP."""
