"""Rain images to ranges to explicit Q/DQ. See the issue tracker: not built yet."""
