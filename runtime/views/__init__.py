"""What is painted over or beside a picture for a viewer."""
