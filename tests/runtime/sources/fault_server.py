"""Cameras on loopback that reproduce the faults of real cameras on command.

:class:`Fake` is the camera: its frames, its rate, and the faults in its timestamps and packets.
:class:`RtspCamera` serves it as H.264 over RTSP with interleaved RTP (RFC 2326, 3550 and 6184), and
:class:`HttpCamera` as Motion JPEG (``/mjpeg``), MPEG-TS (``/ts``), FLV (``/flv``) and a live HLS playlist
(``/live.m3u8``).
"""

import base64
import io
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import av
import cv2
import numpy as np

from tests.media import numbered

PASSWORD = "s3cret"
_CLOCK = 90_000
_SOUND_CLOCK = 8000
_MTU = 1200


@dataclass
class Fake:
    """A camera under the test's control; every attribute may be changed while it runs.

    Attributes:
        mode: ``serve``; ``stall``: sends no more frames; ``mute``: also does not respond to new requests;
            ``refuse``: accepts no connections; ``deny``: requires the password of user ``me``.
        size: (height, width) in pixels.
        rate: frames per second.
        shift: seconds added to all further timestamps.
        frozen: repeat the same timestamp.
        corrupt: share of packets with corrupted bytes.
        half: send only half of the next frame, then drop the connection.
        codec: video encoder for RTSP.
        session: session name in the SDP; lone surrogates are sent as the bytes that they stand for.
        error: answer requests with this status line, or with none if it is ``close``.
        location: redirect RTSP requests of the method ``redirect_at`` there.
        sound: add a second RTSP stream, G.711, whose samples all encode the frame number (modulo 14).
    """

    mode: Literal["serve", "mute", "refuse", "deny", "stall"] = "serve"
    size: tuple[int, int] = (48, 64)
    rate: float = 100.0
    shift: float = 0.0
    frozen: bool = False
    corrupt: float = 0.0
    half: bool = False
    codec: str = "libx264"
    sound: bool = False
    session: str = "fake"
    error: str = ""
    location: str = ""
    redirect_at: str = "DESCRIBE"
    requests: int = 0
    seed: int = 0
    connections: int = 0
    started: int = 0
    sent: int = 0
    frames_each: int | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def pixels(self, index: int) -> np.ndarray:
        return numbered(index, *self.size)

    def frames(self) -> Iterator[tuple[int, np.ndarray, float]]:
        """Yields index, BGR pixels and timestamp in seconds in real time; blocks during a stall."""
        start, stamp, index = time.monotonic(), 0.0, 0
        due = start
        while not self.stop.is_set() and self.mode != "refuse":
            if self.mode in ("stall", "mute"):
                time.sleep(0.005)
                due = time.monotonic()
                continue
            # When the picture was due, as a camera stamps it, and not when a busy machine sends it.
            stamp = stamp if self.frozen else due - start
            yield index, self.pixels(index), stamp + self.shift
            self.sent += 1
            index += 1
            if index == self.frames_each:
                return
            due = max(due + 1 / self.rate, time.monotonic() - 0.1)
            self.stop.wait(max(0.0, due - time.monotonic()))

    def spoil(self, data: bytes, rng: random.Random) -> bytes:
        if rng.random() >= self.corrupt or len(data) < 24:
            return data
        spoiled = bytearray(data)
        for _ in range(max(4, len(data) // 8)):
            spoiled[rng.randrange(8, len(data))] = rng.randrange(256)
        return bytes(spoiled)


class Encoder:
    """Frames -> Annex B packets; restarts with a key frame when the size changes."""

    def __init__(self, codec: str) -> None:
        self._codec, self._context, self._size = codec, None, (0, 0)  # type: ignore[var-annotated]

    def __call__(self, pixels: np.ndarray, index: int) -> list[bytes]:
        if self._context is None or pixels.shape[:2] != self._size:
            self._size = (pixels.shape[0], pixels.shape[1])
            context: Any = av.CodecContext.create(self._codec, "w")
            context.height, context.width = self._size
            context.pix_fmt, context.time_base, context.gop_size = "yuv420p", Fraction(1, 50), 12
            context.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "20"}
            context.thread_count = 1
            self._context = context
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, 50)
        return [bytes(packet) for packet in self._context.encode(frame)]


class _Server:
    """Listens on a loopback port, one thread per connection; ``refuse`` closes the port."""

    scheme = ""

    def __init__(self, fake: Fake | None = None) -> None:
        self.fake = fake or Fake()
        self.listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        with socket.create_server(("127.0.0.1", 0)) as chooser:
            self.port = chooser.getsockname()[1]
        if self.fake.mode != "refuse":
            self._listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self, path: str = "cam", user: str = "") -> str:
        return f"{self.scheme}://{user + '@' if user else ''}127.0.0.1:{self.port}/{path}"

    def drop(self) -> None:
        """Drops all connections."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.fake.stop.set()
        self.drop()
        self._thread.join(5)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *arguments: object) -> None:
        self.close()

    def _listen(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=16)
        self.listener.settimeout(0.05)

    def _accept(self) -> None:
        while not self.fake.stop.is_set():
            if self.fake.mode == "refuse":
                if self.listener is not None:
                    self.listener.close()
                    self.listener = None
                    self.drop()
                time.sleep(0.01)
                continue
            if self.listener is None:
                self._listen()
            assert self.listener is not None
            with suppress(TimeoutError, OSError):
                connection, _ = self.listener.accept()
                connection.settimeout(5)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open.append(connection)
                self.fake.connections += 1
                threading.Thread(target=self._handle, args=(connection,), daemon=True).start()
        if self.listener is not None:
            self.listener.close()

    def _handle(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError, ValueError):
                while self.fake.mode == "mute" and not self.fake.stop.is_set():
                    time.sleep(0.02)
                    if connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"":
                        return
                self.serve(connection)
        except BlockingIOError:
            pass
        finally:
            with self._lock:
                self._open.remove(connection)
            connection.close()

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def allowed(self, head: str) -> bool:
        if self.fake.mode != "deny":
            return True
        token = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        return f"Basic {token}" in head


class RtspCamera(_Server):
    """One H.264 stream, under any path."""

    scheme = "rtsp"
    challenge = 'Basic realm="cam"'

    def serve(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        while True:
            head = _read_head(reader)
            if not head:
                return
            method = head.split(" ", 1)[0]
            self.fake.requests += method == "DESCRIBE"
            if self.fake.error == "close" and method != "OPTIONS":
                return
            cseq = next(line[5:].strip() for line in head.splitlines() if line.lower().startswith("cseq:"))
            if method != "OPTIONS" and not self.allowed(head):
                _reply(connection, "401 Unauthorized", cseq, f"WWW-Authenticate: {self.challenge}\r\n")
            elif self.fake.error and method == "DESCRIBE":
                _reply(connection, self.fake.error, cseq, "")
            elif self.fake.location and method == self.fake.redirect_at:
                _reply(connection, "302 Moved", cseq, f"Location: {self.fake.location}\r\n")
            elif method == "DESCRIBE":
                _reply(connection, "200 OK", cseq, "Content-Type: application/sdp\r\n", self._sdp())
            elif method == "SETUP":
                channels = "2-3" if "track1" in head.split(" ", 2)[1] else "0-1"
                transport = f"Transport: RTP/AVP/TCP;unicast;interleaved={channels}\r\nSession: 1\r\n"
                _reply(connection, "200 OK", cseq, transport)
            elif method == "PLAY":
                _reply(connection, "200 OK", cseq, "Session: 1\r\n")
                self._play(connection)
                return
            else:
                _reply(connection, "200 OK", cseq, "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n")

    def _sdp(self) -> str:
        name = {"libx264": "H264", "mpeg4": "MP4V-ES"}[self.fake.codec]
        lines = (
            "v=0", "o=- 1 1 IN IP4 127.0.0.1", f"s={self.fake.session}", "c=IN IP4 127.0.0.1", "t=0 0",
            "m=video 0 RTP/AVP 96", f"a=rtpmap:96 {name}/{_CLOCK}",
            "a=fmtp:96 packetization-mode=1" if name == "H264" else "a=fmtp:96 profile-level-id=1",
            "a=control:track0",
            *(("m=audio 0 RTP/AVP 0", "a=control:track1") if self.fake.sound else ()),
        )  # fmt: skip
        return "\r\n".join(lines) + "\r\n"

    def _play(self, connection: socket.socket) -> None:
        fake, rng, sequence = self.fake, random.Random(self.fake.seed), 0
        fake.started += 1
        codec = fake.codec
        encoder = Encoder(codec)
        samples = 0
        for index, pixels, seconds in fake.frames():
            if fake.sound:
                count = max(0, int((seconds - fake.shift) * _SOUND_CLOCK) - samples)
                sound = bytes([index % 14]) * count
                stamp = samples + int(fake.shift * _SOUND_CLOCK) & 0xFFFFFFFF
                connection.sendall(_rtp(sound, index & 0xFFFF, stamp, marker=False, channel=2, kind=0))
                samples += count
            stamp = int(seconds * _CLOCK) & 0xFFFFFFFF
            for data in encoder(pixels, index):
                payloads = list(_payloads(data)) if codec == "libx264" else list(_slices(data))
                if fake.half:
                    fake.half = False
                    packet = _rtp(fake.spoil(payloads[-1], rng), sequence, stamp, marker=True)
                    connection.sendall(packet[: len(packet) // 2])
                    return
                for place, payload in enumerate(payloads):
                    marker = place == len(payloads) - 1
                    connection.sendall(_rtp(fake.spoil(payload, rng), sequence, stamp, marker=marker))
                    sequence = sequence + 1 & 0xFFFF
            if fake.codec != codec:
                return


class HttpCamera(_Server):
    """Motion JPEG, MPEG-TS and HLS."""

    scheme = "http"

    def __init__(self, fake: Fake | None = None) -> None:
        super().__init__(fake)
        self.playlist: str | None = None
        """Content of ``/live.m3u8`` in place of the live segments."""
        self.elsewhere = ""
        """Redirect target of ``/elsewhere``."""
        self._began = time.monotonic()

    def serve(self, connection: socket.socket) -> None:
        head = _read_head(connection.makefile("rb"))
        if not head:
            return
        if not self.allowed(head):
            realm = 'WWW-Authenticate: Basic realm="cam"\r\n'
            connection.sendall(f"HTTP/1.1 401 Unauthorized\r\n{realm}Content-Length: 0\r\n\r\n".encode())
            return
        if self.fake.error and head.startswith("GET"):
            self._fail(connection)
            return
        path = head.split(" ")[1].split("?")[0]
        streams = {"/mjpeg": self._mjpeg, "/ts": self._ts, "/flv": self._flv}
        if path in streams:
            streams[path](connection)
        elif path == "/live.m3u8":
            _answer(connection, "application/vnd.apple.mpegurl", self._playlist().encode())
        elif path.startswith("/segment"):
            _answer(connection, "video/mp2t", self._segment(int(path[8:-3])))
        elif path == "/elsewhere":
            place = f"Location: {self.elsewhere}\r\nContent-Length: 0\r\n\r\n"
            connection.sendall(f"HTTP/1.1 302 Found\r\n{place}".encode())
        else:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def _fail(self, connection: socket.socket) -> None:
        if self.fake.error != "close":
            connection.sendall(f"HTTP/1.1 {self.fake.error}\r\nContent-Length: 0\r\n\r\n".encode())

    def _mjpeg(self, connection: socket.socket) -> None:
        fake, rng = self.fake, random.Random(self.fake.seed)
        fake.started += 1
        kind = "multipart/x-mixed-replace; boundary=cut"
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
        for _, pixels, _ in fake.frames():
            data = fake.spoil(cv2.imencode(".jpg", pixels)[1].tobytes(), rng)
            part = f"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            if fake.half:
                fake.half = False
                connection.sendall(part + data[: len(data) // 2])
                return
            connection.sendall(part + data + b"\r\n")

    def _ts(self, connection: socket.socket) -> None:
        self.fake.started += 1
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
        with connection.makefile("wb") as file:
            _write_ts(_Unseekable(file), self.fake.frames())

    def _flv(self, connection: socket.socket) -> None:
        """FLV whose header announces sound that never comes, as many servers do."""
        self.fake.started += 1
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\r\n")
        with connection.makefile("wb") as file:
            _write_ts(_Announcing(file), self.fake.frames(), "flv")

    def _playlist(self) -> str:
        if self.playlist is not None:
            return self.playlist
        newest = int(time.monotonic() - self._began)
        lines = [f"#EXTINF:1.0,\nsegment{number}.ts" for number in range(max(0, newest - 2), newest + 1)]
        head = (
            f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{max(0, newest - 2)}"
        )
        return "\n".join([head, *lines]) + "\n"

    def _segment(self, number: int) -> bytes:
        rate = 50
        frames = ((i, self.fake.pixels(i), number + i / rate) for i in range(rate))
        memory = io.BytesIO()
        _write_ts(_Unseekable(memory), frames)
        return memory.getvalue()


class _Unseekable:
    """A write-only file."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self._file.flush()
        return len(data)


class _Announcing(_Unseekable):
    """Sets the flag for sound in the header of an FLV file, its fifth byte."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self._sent = 0

    def write(self, data: bytes) -> int:
        if self._sent <= 4 < self._sent + len(data):
            flags = bytearray(data)
            flags[4 - self._sent] |= 4
            data = bytes(flags)
        self._sent += len(data)
        return super().write(data)


def _write_ts(
    file: Any, frames: Iterator[tuple[int, np.ndarray, float]], container_format: str = "mpegts"
) -> None:
    with av.open(file, "w", format=container_format, container_options={"flush_packets": "1"}) as container:
        stream: Any = container.add_stream("libx264", rate=50)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        stream.codec_context.gop_size, stream.codec_context.thread_count = 12, 1
        stream.codec_context.time_base = Fraction(1, _CLOCK)
        for _, pixels, seconds in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "bgr24")
            frame.pts, frame.time_base = round((seconds + 10) * _CLOCK), Fraction(1, _CLOCK)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _answer(connection: socket.socket, kind: str, body: bytes) -> None:
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    connection.sendall(head.encode() + body)


def _read_head(reader: Any) -> str:
    lines = []
    while (line := reader.readline()) not in (b"", b"\r\n"):
        lines.append(line.decode("latin-1"))
    return "".join(lines)


def _reply(connection: socket.socket, status: str, cseq: str, headers: str, body: str = "") -> None:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    connection.sendall(
        f"RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{headers}{length}\r\n{body}".encode("utf-8", "surrogateescape")
    )


def _rtp(
    payload: bytes, sequence: int, stamp: int, *, marker: bool, channel: int = 0, kind: int = 96
) -> bytes:
    """Interleaved: RFC 2326, 10.12, and RFC 3550, 5.1."""
    packet = struct.pack("!BBHII", 0x80, kind | marker << 7, sequence, stamp, 0x1234 + channel) + payload
    return struct.pack("!cBH", b"$", channel, len(packet)) + packet


def _payloads(annex_b: bytes) -> Iterator[bytes]:
    """RFC 6184: a single NAL unit packet, or fragments (FU-A)."""
    for nal in (part.rstrip(b"\0") for part in annex_b.split(b"\0\0\1")):
        if not nal:
            continue
        if len(nal) <= _MTU:
            yield nal
            continue
        body, head = nal[1:], nal[0]
        for at in range(0, len(body), _MTU):
            end = at + _MTU >= len(body)
            yield bytes([head & 0xE0 | 28, (at == 0) << 7 | end << 6 | head & 0x1F]) + body[at : at + _MTU]


def _slices(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), _MTU):
        yield data[at : at + _MTU]
