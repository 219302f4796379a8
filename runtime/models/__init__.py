"""The models that come with the package; each has a manifest and a model card beside it."""
