"""An RTSP, RTMP or WHIP server as a sink."""
