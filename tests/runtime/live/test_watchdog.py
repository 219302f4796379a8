import socket
import threading
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.live.watchdog import Watchdog


def test_systemd_is_notified_of_start_and_liveness(tmp_path: Path) -> None:
    path, now = tmp_path / "notify", [0.0]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(5)
        environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000"}
        watchdog = Watchdog(environment, clock=lambda: now[0])
        watchdog.ready()
        for step in range(100):
            now[0] = step * 0.05
            watchdog.alive()
        watchdog.stopping()
        heard = []
        while (message := systemd.recv(100)) != b"STOPPING=1":
            heard.append(message)
    # One message a second for five seconds: a third of systemd's timeout of three seconds.
    assert heard == [b"READY=1", *[b"WATCHDOG=1"] * 5]


def test_a_systemd_that_does_not_read_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        watchdog = Watchdog({"NOTIFY_SOCKET": str(path)})

        def report() -> None:
            for _ in range(5000):  # more than a socket's queue holds
                watchdog.ready()

        reporting = threading.Thread(target=report, daemon=True)
        reporting.start()
        reporting.join(60)
        is_stopped = reporting.is_alive()
    assert not is_stopped


def test_without_systemd_nothing_is_sent_and_nothing_fails(tmp_path: Path) -> None:
    watchdog = Watchdog({})
    watchdog.ready()
    watchdog.alive()
    Watchdog({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1"}).alive()


@pytest.mark.parametrize("value", ["soon", "-1", "1e6", "\x1b[2J", "9" * 5000])
def test_a_time_that_is_no_number_is_one_line(value: str) -> None:
    with pytest.raises(UserError, match="WATCHDOG_USEC: expected a whole number"):
        Watchdog({"WATCHDOG_USEC": value})
