"""One file for each backend of :class:`runtime.engines.base.Engine`, and what they share."""
