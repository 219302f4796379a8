"""Live sources: reconnecting, and one time for pictures and sound."""
