"""RTSP messages as FFmpeg must see them, however their bytes arrive."""

import pytest

from granet.errors import UserError
from runtime.sources.rtsp.messages import Messages

HEAD = b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n"
PACKET = b"$\0\0\x0c" + bytes(range(12))


def passed(data: bytes, step: int = 2**16) -> bytes:
    messages = Messages(lambda lines: lines)
    return b"".join(messages.feed(data[at : at + step]) for at in range(0, len(data), step))


@pytest.mark.parametrize("step", [1, 3, 2**16])
def test_messages_and_packets_are_passed_on_as_they_are(step: int) -> None:
    whole = PACKET + HEAD + b"Content-Length: 9\r\n\r\n$\0\0\x0c\r\n\r\nv" + PACKET + HEAD + b"\r\n" + PACKET
    assert passed(whole, step) == whole


@pytest.mark.parametrize(
    ("head", "seen"),
    [
        (b"Content-Length: 3\r\nContent-Length: 1\r\n\r\n", b"Content-Length: 1\r\n\r\n"),
        (b"content-length:  1\nX: 1\n\n", b"X: 1\r\nContent-Length: 1\r\n\r\n"),
        (b"C\0ontent-Length: 1\r\n\r\n", b"Content-Length: 1\r\n\r\n"),
        (b"Content-\rLength: 1\r\n\r\n", b"Content-Length: 1\r\n\r\n"),
        (b"Content-Length: -5\r\n\r\n", b"\r\n"),
        (b"Content-Length : 7\r\n\r\n", b"Content-Length : 7\r\n\r\n"),
    ],
)
def test_ffmpeg_sees_one_length_and_it_is_the_one_that_was_checked(head: bytes, seen: bytes) -> None:
    """FFmpeg takes the last one, ignores CR anywhere, and knows no space before the colon."""
    assert passed(HEAD + head) == HEAD + seen


def test_a_packet_that_ffmpeg_would_parse_as_a_message_is_dropped() -> None:
    assert passed(b"$\0\0\x07" + b"\nConten" + PACKET) == PACKET


def test_a_packet_ends_a_head_that_is_not_complete() -> None:
    assert passed(b"noise\r\n" + PACKET + HEAD + b"\r\n") == PACKET + HEAD + b"\r\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (HEAD + b"Content-Length: %d\r\n\r\n" % 65_537, "message of 65,537 bytes"),
        (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", "at most 65,536 are read"),
        (HEAD + b"X: rain\r\n" * 3000, "head of more than 16,384 bytes"),
        (b"x" * 20_000, "head of more than 16,384 bytes"),
        (HEAD + b"\r$\0\0\0\r\n", "damaged RTSP message"),
    ],
)
@pytest.mark.parametrize("step", [100, 2**16])
def test_what_is_too_large_is_refused(data: bytes, reason: str, step: int) -> None:
    with pytest.raises(UserError, match=reason):
        passed(data, step)
