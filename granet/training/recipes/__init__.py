"""Recipes of the packaged weights, for ``granet-train --recipe``."""
