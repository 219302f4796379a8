"""Picture files as a source."""
