"""Cameras of this machine as a source."""
