"""The packaged models; each has a manifest and a model card beside it."""
