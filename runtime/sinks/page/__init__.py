"""A web page as a sink."""
