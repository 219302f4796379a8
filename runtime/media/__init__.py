"""Frames, and what is common to reading and writing them."""
