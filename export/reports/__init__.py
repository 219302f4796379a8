"""Reports of ``granet-export``: measurements and their tables."""
