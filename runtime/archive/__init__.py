"""Whole archives of recordings: an immutable plan, segments that are published once, and their joining."""
