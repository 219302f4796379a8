"""The pipeline from a source through an engine to sinks, and the parts that keep it running."""
