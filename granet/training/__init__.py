"""Training: ``granet-train`` and the loop behind it."""
