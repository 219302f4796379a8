"""Child process that sends an encoded video from its stdin to the address in ``GRANET_PUSH_URL``.

FFmpeg holds the GIL while it connects and disconnects, so a silent server would block the whole program.
Here it blocks only this process, which can be killed. The process imports nothing from the program, so
that it starts quickly, and writes ``+`` to stdout once the first picture is sent.
"""

import os
import sys

import av

URL = "GRANET_PUSH_URL"
FORMAT = "nut"
"""The container on stdin: it adds no delay and keeps every time base."""

# The header is sufficient; by default FFmpeg would wait for more pictures to confirm it.
_AT_ONCE = {"probesize": "32", "analyzeduration": "0"}
_MUXERS = {"rtsp": "rtsp", "rtsps": "rtsp", "rtmp": "flv", "rtmps": "flv"}
_OPTIONS = {"rtsp": {"rtsp_transport": "tcp"}, "flv": {"flvflags": "no_duration_filesize"}}


def main() -> int:
    """Sends until stdin ends; returns the exit status, and writes the reason to stderr if it is not 0."""
    url = os.environ[URL]
    muxer = _MUXERS[url.split(":")[0].lower()]
    try:
        with (
            av.open("pipe:0", format=FORMAT, options=_AT_ONCE) as source,
            av.open(url, "w", format=muxer, container_options=_OPTIONS[muxer]) as target,
        ):
            video = source.streams.video[0]
            stream = target.add_stream_from_template(video)
            sent = False
            for packet in source.demux(video):
                if packet.pts is None:
                    continue
                # Zero-latency encoding never reorders pictures; without a DTS FFmpeg would have to guess.
                packet.dts = packet.pts
                packet.stream = stream
                target.mux(packet)
                if not sent:
                    sent = True
                    os.write(1, b"+")
    except (av.FFmpegError, OSError) as error:
        sys.stderr.write(error.strerror or type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
