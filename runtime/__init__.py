"""Engines, sources, sinks and the pipeline between them: what an edge device runs.

Needs numpy, OpenCV and PyAV; torch and onnx are not imported unless a checkpoint is run.
"""
