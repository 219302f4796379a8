"""Rain images to ranges to explicit Q/DQ; what a layer costs; the fewest to keep."""
