"""Data sets of rainy and clean pictures, and their files."""
