"""Weights in files: their names, their content, and how foreign ones become GraNet's."""
