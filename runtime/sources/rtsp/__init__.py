"""RTSP: what stands between a server and FFmpeg, which believes every size that a server states."""
