"""The ports at which servers of video listen if an address names none."""

DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
"""Scheme of an address -> its port."""
