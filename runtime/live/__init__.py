"""The pipeline from a source through an engine to sinks, and what keeps it running."""
