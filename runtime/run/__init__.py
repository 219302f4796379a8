"""One run of ``granet-run``: its options, its input, its model, and the streams of a configuration."""
