"""Data sets of rainy and clean images, and the files that they consist of."""
