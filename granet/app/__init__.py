"""What all commands share: messages, progress, signals, files that are written whole."""
