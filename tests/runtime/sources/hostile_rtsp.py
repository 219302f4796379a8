"""RTSP servers whose answers were made to take memory."""

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n"
MEDIA = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track0\r\n"


def reply(cseq: str, more: str = "", body: str = "") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{more}{length}\r\n{body}".encode()


def for_ever(connection: socket.socket, piece: bytes) -> None:
    while True:
        connection.sendall(piece)


def huge_length(connection: socket.socket, method: str, cseq: str) -> None:
    connection.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nContent-Length: 2147483646\r\n\r\n".encode())
    for_ever(connection, bytes(2**20))


def many_streams(connection: socket.socket, method: str, cseq: str) -> None:
    connection.sendall(reply(cseq, "Content-Type: application/sdp\r\n", SDP + "m=video\r\n" * 2**22))


def endless_head(connection: socket.socket, method: str, cseq: str) -> None:
    connection.sendall(b"RTSP/1.0 200 OK\r\n")
    for_ever(connection, b"X-Header: rain\r\n" * 2**14)


def endless_picture(connection: socket.socket, method: str, cseq: str) -> None:
    """Fragments of one H.264 picture, of which none is the last (RFC 6184, 5.8)."""
    if method != "PLAY":
        transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
        body = SDP + MEDIA if method == "DESCRIBE" else ""
        connection.sendall(reply(cseq, transport if method == "SETUP" else "", body))
        return
    connection.sendall(reply(cseq))
    payload = bytes([0x7C, 0x05]) + b"\xa5" * 60_000
    count = 0
    while True:
        head = struct.pack("!cBHBBHII", b"$", 0, len(payload) + 12, 0x80, 96, count & 0xFFFF, 9000, 1)
        connection.sendall(head + payload)
        count += 1


Answer = Callable[[socket.socket, str, str], None]


@contextmanager
def serving(answer: Answer, after: str = "OPTIONS") -> Iterator[str]:
    """A server that answers everything but ``after`` in its own way; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("r", encoding="latin-1") as requests:
            head = ""
            for line in requests:
                head += line
                if line.strip():
                    continue
                method, cseq = head.split(" ", 1)[0], re.findall(r"CSeq: (\d+)", head)[0]
                head = ""
                if method == after:
                    connection.sendall(reply(cseq))
                else:
                    answer(connection, method, cseq)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"rtsp://127.0.0.1:{listener.getsockname()[1]}/a"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
