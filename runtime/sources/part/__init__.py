"""A part of a source: its end, every Nth frame, and its repetition."""
