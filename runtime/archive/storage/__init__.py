"""Where recordings come from and results go to: directories, and object stores through fsspec."""
