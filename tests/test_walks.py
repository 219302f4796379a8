"""``python -m tests.walks``: which files count."""

import sys
import threading

from granet.app.durations import duration_text
from granet.app.options import parse_size
from tests.walks import Walk


def test_a_file_counts_if_a_function_runs_in_any_thread_and_not_if_it_is_only_imported() -> None:
    walk = Walk()
    sys.modules.pop("runtime.media.ports", None)
    walk.start()
    try:
        import runtime.media.ports  # noqa: F401 - has no functions

        duration_text(3.0)
        thread = threading.Thread(target=parse_size, args=("64x48",))
        thread.start()
        thread.join()
    finally:
        walk.stop()
    assert walk.files() == ["granet/app/durations.py", "granet/app/options.py"]
