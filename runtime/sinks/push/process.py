"""A process of its own that sends a coded video from its stdin to the address in ``GRANET_PUSH_URL``.

FFmpeg connects and says goodbye without letting other Python threads run: a mute server would stop all
of the program for as long as it likes. Here it stops this process, which can be killed. It imports
nothing of the program, so that it starts quickly, and says ``+`` on stdout once the first picture is sent.
"""

import os
import sys

import av

URL = "GRANET_PUSH_URL"
FORMAT = "nut"
"""The container on stdin: it delays nothing and keeps every time base."""

# All that is to be known is in the header; FFmpeg would wait for more pictures to be sure of it.
_AT_ONCE = {"probesize": "32", "analyzeduration": "0"}
_MUXERS = {"rtsp": "rtsp", "rtsps": "rtsp", "rtmp": "flv", "rtmps": "flv"}
_OPTIONS = {"rtsp": {"rtsp_transport": "tcp"}, "flv": {"flvflags": "no_duration_filesize"}}


def main() -> int:
    """Sends until stdin ends; the exit status, with a reason on stderr if it is not 0."""
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
                # What is encoded without delay has no pictures out of order; FFmpeg would have to guess.
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
