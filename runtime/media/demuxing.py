"""Read packets of a container, also of one in which streams begin later."""

from collections.abc import Callable, Iterator
from typing import TypeVar, cast

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

LATE = "a stream that begins later than the others is left out"

S = TypeVar("S", bound=Stream)


def demuxed(
    container: InputContainer, *streams: S, late: Callable[[], None] = lambda: None
) -> "Iterator[Packet[S]]":
    """The packets of some streams in file order, then an empty one of each.

    Some containers, such as FLV and Ogg, may add a stream at any time. PyAV knows those of the beginning
    alone, and after the last packet it looks for the others and fails.

    Args:
        container: an open container.
        streams: the streams to read.
        late: called at the end if another stream was found.

    Raises:
        av.FFmpegError: if the input cannot be read.
    """
    try:
        yield from cast("Iterator[Packet[S]]", container.demux(*streams))
    except IndexError:
        late()
