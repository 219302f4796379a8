"""Evaluation of results: metrics, scores of data sets, and the stages of a network."""
