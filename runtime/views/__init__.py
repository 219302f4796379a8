"""Overlays, banners and comparisons drawn for a viewer."""
