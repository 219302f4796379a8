import threading
from dataclasses import FrozenInstanceError

import pytest

from runtime.telemetry.health import Health


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_each_change_of_state_is_announced_once_and_counted() -> None:
    clock, said = FakeClock(), []
    health = Health("rtsp://me:secret@cam/1", say=said.append, clock=clock)
    assert health.snapshot().state == "connecting"
    for state in ("live", "live", "stalled", "stalled", "reconnecting"):
        health.enter(state, "rtsp://me:secret@cam/1 is mute" if state == "stalled" else "")  # type: ignore[arg-type]
        clock.now += 2
    clock.now += 3.5
    assert health.snapshot().state_seconds == 5.5
    health.enter("live")
    assert said == [
        "rtsp://***@cam/1: live",
        "rtsp://***@cam/1: stalled: rtsp://***@cam/1 is mute",
        "rtsp://***@cam/1: reconnecting",
        # The signal was lost when the stream stalled.
        "rtsp://***@cam/1: live again after 9.5 s",
    ]
    snapshot = health.snapshot()
    assert snapshot.transitions == {
        "connecting": 1, "live": 2, "stalled": 1, "reconnecting": 1, "ended": 0,
    }  # fmt: skip
    assert "secret" not in repr(snapshot)


def test_no_snapshot_has_a_password_in_it() -> None:
    health = Health("rtsp://me:secret@cam/1")
    for state, why in [
        ("connecting", "is away"),  # the current state
        ("live", ""),
        ("stalled", "sent nothing"),
        ("reconnecting", "refused"),
        ("reconnecting", "no route"),
        ("ended", "given up"),
    ]:
        health.enter(state, f"rtsp://me:secret@cam/1: {why}" if why else "")  # type: ignore[arg-type]
        assert health.snapshot().detail == (f"rtsp://***@cam/1: {why}" if why else "")
        assert "secret" not in repr(health.snapshot())


def test_the_end_is_final() -> None:
    health = Health("cam")
    assert health.enter("ended") and not health.enter("live")
    assert health.snapshot().state == "ended"


def test_a_frozen_picture_gets_a_banner() -> None:
    clock = FakeClock()
    health = Health("cam", clock=clock)
    assert health.banner() is None
    clock.now += 12.5
    assert health.banner() == "NO SIGNAL for 12 s - connecting"
    health.enter("live")
    health.frame_out(0.1)
    clock.now += 1.0
    assert health.banner() is None
    clock.now += 0.1
    assert health.banner() == "NO NEW PICTURE for 1 s"
    health.enter("stalled")
    clock.now += 2
    assert health.banner() == "NO SIGNAL for 3 s"
    health.enter("reconnecting")
    clock.now += 10
    assert health.banner() == "NO SIGNAL for 13 s - reconnecting"
    health.enter("live")
    # Connected, but the old picture is still shown.
    assert health.banner() is not None
    health.frame_out(0.1)
    assert health.banner() is None
    health.enter("ended")
    clock.now += 60
    assert health.banner() == "ENDED 60 s ago"


def test_a_paused_file_gets_no_banner() -> None:
    clock = FakeClock()
    health = Health("a.mp4", live=False, clock=clock)
    clock.now += 100
    assert health.banner() is None


def test_latencies_fall_into_buckets_that_end_at_their_bound() -> None:
    health = Health("cam")
    for latency in (0.0, 0.01, 0.011, 5.12, 9.0):
        health.frame_out(latency)
    snapshot = health.snapshot()
    # Ten bounds from 10 ms to 5.12 s, and one bucket beyond.
    assert len(snapshot.latency_counts) == 11
    # As in Prometheus, a bound belongs to its bucket.
    assert snapshot.latency_counts[:2] == (2, 1) and snapshot.latency_counts[-2:] == (1, 1)
    assert snapshot.latency_sum == pytest.approx(14.141)
    assert sum(snapshot.latency_counts) == snapshot.frames_out == 5


def test_a_snapshot_stays_as_it_was() -> None:
    health = Health("cam")
    before = health.snapshot()
    health.drop("engine")
    health.count("reconnect")
    health.engine_failing("out of memory")
    assert before.dropped["engine"] == 0 and before.events["reconnect"] == 0
    after = health.snapshot()
    assert (after.dropped["engine"], after.events["reconnect"]) == (1, 1)
    assert after.engine_failing == "out of memory"
    # Each has a value from the start: dashboards use them as labels.
    assert set(after.dropped) == {"source", "engine", "sink"}
    assert set(after.events) == {
        "reconnect", "engine_fault", "corrupt_packet", "timestamp_repair", "sink_fault",
    }  # fmt: skip
    assert set(after.transitions) == {"connecting", "live", "stalled", "reconnecting", "ended"}
    with pytest.raises(FrozenInstanceError):
        after.frames_in = 3  # type: ignore[misc]


def test_no_count_is_lost_between_threads() -> None:
    health = Health("cam")

    def report() -> None:
        for _ in range(2000):
            health.frame_in()
            health.frame_out(0.02)
            health.drop("sink")

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    snapshot = health.snapshot()
    assert snapshot.frames_in == snapshot.frames_out == snapshot.dropped["sink"] == 8000


def test_a_step_of_the_wall_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 4e9)
    health = Health("cam")
    health.frame_out(0.1)
    monkeypatch.setattr("time.time", lambda: 0.0)
    age = health.snapshot().age
    assert age is not None and 0 <= age < 60 and health.banner() is None
