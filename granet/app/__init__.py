"""Shared by all commands: messages, progress, signals, atomic files."""
