"""Rain pictures: where they come from, and which are chosen."""
