"""One file for each backend of :class:`runtime.engine.Engine`."""
