"""An RTSP or RTMP server as a sink."""
