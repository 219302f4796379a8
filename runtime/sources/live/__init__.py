"""Live sources: reconnection, and a common clock for frames and sound."""
