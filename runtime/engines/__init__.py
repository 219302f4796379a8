"""Engines: one file for each backend, and the two bases, which compute and forward."""
