"""Synthetic rain and streets, drawn with numpy only."""
