"""A model repository for Triton: which back end runs a model, its ``config.pbtxt``, and its versions."""
