"""Video files and streams as a source, decoded by FFmpeg."""
