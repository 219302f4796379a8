"""Frames, and code shared by sources and sinks."""
