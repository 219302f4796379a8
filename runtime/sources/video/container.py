"""Opens the containers of all inputs: the one place where FFmpeg gets what others made.

Some demuxers open the files that their input names: ``ffconcat`` in a file called ``a.mp4`` would read its
neighbours. So only containers of a list are opened. HLS, which has to open files, is allowed over HTTP only,
with playlists that :mod:`runtime.sources.video.hls` checks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from granet.app.outside_text import ELSE_LATIN_1
from granet.errors import UserError
from runtime.sources.allowance import MOST_BYTES, Allowance
from runtime.sources.rtsp.relay import Relay
from runtime.sources.url import Address, SeekableFile
from runtime.sources.video.hls import PLAYLIST, HlsFiles
from runtime.sources.video.wire import Wire

MAX_PIXELS = 2**26
"""Maximum number of pixels of a video frame: 8192 x 8192, twice 8K."""

_OPENING = 2
"""The time to open is that of FFmpeg's two steps, to read the header and to find the streams."""

_OPENING_HLS = 4
"""While HLS is opened, several streams are probed before the first packet."""

_CONTAINERS = (
    "mov,matroska,avi,flv,live_flv,kux,asf,asf_o,mpegts,mpegtsraw,mpeg,mpegvideo,mxf,nut,ogg,rm,wtv,dv,gxf,lxf,"
    "nsv,nuv,swf,pva,ivf,obu,av1,ivr,ty,dhav,cine,frm,viv,vivo,rpl,amv,smjpeg,avs,xmv,bink,smk,flic,film_cpk,roq,"
    "yuv4mpegpipe,h261,h263,h264,hevc,vvc,evc,m4v,vc1,vc1test,cavsvideo,avs2,avs3,dirac,dnxhd,ingenient,apv,"
    "mjpeg,mjpeg_2000,mpjpeg,gif,apng,webp,webp_anim,jpegxl_anim,fits,"
    "mp3,aac,ac3,eac3,wav,w64,flac,aiff,caf,"
    "bmp_pipe,dds_pipe,dpx_pipe,exr_pipe,gif_pipe,hdr_pipe,j2k_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,pam_pipe,"
    "pbm_pipe,pcx_pipe,pfm_pipe,pgm_pipe,pgmyuv_pipe,png_pipe,ppm_pipe,psd_pipe,qoi_pipe,sgi_pipe,sunrast_pipe,"
    "tiff_pipe,webp_pipe,xbm_pipe,xpm_pipe,xwd_pipe"
)  # fmt: skip
"""Demuxers that read only the file that they are given."""


@dataclass(frozen=True)
class Input:
    """An open input.

    Attributes:
        container: its container.
        allowance: limits what it reads; ``None`` for a file of this machine, whose packets end
            where it ends.
        wire: its connection, if the container does not have its own.
        size: size in bytes of a file over HTTP; 0 if the server does not state it.
        relay: its connection, for RTSP.
    """

    container: InputContainer
    allowance: Allowance | None = None
    wire: Wire | None = None
    size: int = 0
    relay: Relay | None = None

    def packet_came(self) -> None:
        """Call it for each packet, and after the last; it renews the limit for the next one.

        Raises:
            UserError: if the connection has ended because the server sent what is not accepted.
        """
        if self.relay is not None:
            self.relay.raise_failure()
        if self.allowance is not None:
            self.allowance.packet_came()

    def close(self) -> None:
        """Closes the container and its connection."""
        self.container.close()
        for connection in (self.wire, self.relay):
            if connection is not None:
                connection.close()


def open_input(
    address: Address, timeout: tuple[float, float] | None, hwaccel: HWAccel | None = None
) -> Input:
    """Opens an input.

    Args:
        address: the address to open.
        timeout: seconds (to open, to read); ``None`` for a file.
        hwaccel: what to decode on; ``None`` for the CPU.

    Raises:
        RuntimeError: if ``hwaccel`` cannot decode it.
        av.FFmpegError: if it cannot be opened, or is not a container of the list.
        UserError: if its frames are too large, it needs more memory than any stream does, or a server
            redirects where it may not.
    """
    if address.opener is not None:
        return _limited(Input(_opened(address.opener(), _CONTAINERS, address.options, None, hwaccel)))
    if timeout is None or not address.remote:
        return _limited(Input(_opened(address.target, _CONTAINERS, address.options, timeout, hwaccel)))
    if address.target.startswith("rtsp"):
        return _limited(_open_rtsp(address, timeout, hwaccel))
    return _open_http(address, timeout, hwaccel)


def _open_http(address: Address, timeout: tuple[float, float], hwaccel: HWAccel | None) -> Input:
    allowance = Allowance(MOST_BYTES, _OPENING * timeout[0])
    wire = Wire(address.target, address.options, timeout, allowance)
    try:
        if wire.peek(len(PLAYLIST)) == PLAYLIST:
            return _limited(_open_hls(wire, address.options, timeout, hwaccel))
        container = _opened(wire, _CONTAINERS, address.options, timeout, hwaccel)
        allowance.opened()
        return _limited(Input(container, allowance, wire, max(0, wire.size)))
    except BaseException:
        wire.close()
        raise


def _open_rtsp(address: Address, timeout: tuple[float, float], hwaccel: HWAccel | None) -> Input:
    allowance = Allowance(MOST_BYTES, None)
    relay = Relay(address.target, timeout, allowance)
    try:
        container = _opened(relay.target, "rtsp", address.options, timeout, hwaccel)
    except BaseException:
        relay.close()
        relay.raise_failure()
        raise
    allowance.opened()
    return Input(container, allowance, relay=relay)


def _open_hls(
    wire: Wire, options: Mapping[str, str], timeout: tuple[float, float], hwaccel: HWAccel | None
) -> Input:
    allowance = Allowance(_OPENING_HLS * MOST_BYTES, _OPENING * timeout[0])
    own = {name: value for name, value in options.items() if name == "protocol_whitelist"}
    files = HlsFiles(wire, own, timeout, allowance)
    wire.close()
    container = av.open(
        files.top,
        "r",
        format="hls",
        options={
            **options,
            "format_whitelist": f"hls,{_CONTAINERS}",
            "http_persistent": "0",
            "http_multiple": "0",
            "max_pixels": str(MAX_PIXELS),
        },
        timeout=timeout,
        io_open=files,
        hwaccel=hwaccel,
        metadata_errors=ELSE_LATIN_1,
    )
    allowance.opened()
    return Input(container, allowance)


def _opened(
    file: str | SeekableFile,
    formats: str,
    options: Mapping[str, str],
    timeout: tuple[float, float] | None,
    hwaccel: HWAccel | None,
) -> InputContainer:
    own = {**options, "format_whitelist": formats, "max_pixels": str(MAX_PIXELS)}
    return av.open(file, "r", options=own, timeout=timeout, metadata_errors=ELSE_LATIN_1, hwaccel=hwaccel)


def _limited(opened: Input) -> Input:
    """Limits the size of the decoder's frames, and refuses a stream that states larger ones."""
    for stream in opened.container.streams.video:
        if stream.codec_context is None:
            continue
        if stream.width * stream.height > MAX_PIXELS:
            size = f"{stream.width}x{stream.height}"
            opened.close()
            raise UserError(f"states frames of {size} pixels; at most {MAX_PIXELS:,} pixels are decoded")
        stream.codec_context.options = {**stream.codec_context.options, "max_pixels": str(MAX_PIXELS)}
    return opened
