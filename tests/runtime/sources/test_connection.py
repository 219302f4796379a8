"""The inbox of a live source: the newest frame takes over the sound of the frame it replaces."""

from fractions import Fraction

import av
import numpy as np

from granet.errors import UserError
from runtime.media.frame import Frame
from runtime.sources.base import SoundPacket, Source, StreamInfo
from runtime.sources.live.connection import Connection, Inbox
from runtime.telemetry.health import Health

INFO = StreamInfo("camera", "camera", live=True, rate=Fraction(25))


def refused() -> Source:
    raise UserError("refused")


def connection_to(inbox: Inbox) -> Connection:
    connection = Connection(refused, "bgr", inbox)
    connection.thread.join(60)
    assert connection.done
    return connection


def frame(number: int) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), number)


def packets(*sizes: int) -> list[SoundPacket]:
    return [av.Packet(size) for size in sizes]  # type: ignore[misc]


def test_a_replaced_frame_passes_its_sound_on_and_is_counted() -> None:
    health = Health("camera", live=True)
    inbox = Inbox(health)
    connection = connection_to(inbox)
    assert inbox.arrive(connection, frame(0), INFO, packets(1, 2))
    assert inbox.arrive(connection, frame(1), INFO, packets(3))
    arrival = inbox.take(60)
    assert arrival is not None
    assert arrival.index == arrival.frame.index == 1
    assert [packet.size for packet in arrival.sound] == [1, 2, 3]
    snapshot = health.snapshot()
    assert (snapshot.frames_in, snapshot.dropped["source"]) == (1, 1)


def test_an_abandoned_connection_delivers_nothing_more() -> None:
    inbox = Inbox(Health("camera", live=True))
    old, new = connection_to(inbox), connection_to(inbox)
    assert inbox.arrive(old, frame(0), INFO, [])
    old.leave()
    assert not inbox.arrive(old, frame(1), INFO, [])
    inbox.clear()
    assert inbox.peek()[0] is None
    assert inbox.arrive(new, frame(2), INFO, [])
    arrival = inbox.take(60)
    assert arrival is not None and arrival.frame.index == 2


def test_closing_the_inbox_ends_the_connection_and_the_wait() -> None:
    inbox = Inbox(Health("camera", live=True))
    connection = connection_to(inbox)
    inbox.close()
    assert not inbox.arrive(connection, frame(0), INFO, [])
    assert inbox.take(60) is None
