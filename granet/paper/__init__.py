"""The tables and figures of the paper, from our own measurements."""
