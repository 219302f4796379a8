"""Picture files as a sink."""
