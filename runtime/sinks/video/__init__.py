"""Videos as a sink, encoded by FFmpeg."""
