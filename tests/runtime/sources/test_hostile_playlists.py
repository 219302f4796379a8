"""Playlists that were made to take memory or to reach other addresses."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.sources.live.supervised import LiveOptions
from runtime.sources.open import open_source
from tests.media import make_clip
from tests.runtime.sources.hostile_server import Server, endless, grown, numbers, refusal

MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n"
MEDIA = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.ts", count=5)


def test_a_playlist_and_its_variants_are_played(server: Server, clip: Path) -> None:
    segment = clip.read_bytes()
    server.answers |= {
        "/top.m3u8": MASTER + "low/media.m3u8\n",
        "/low/media.m3u8": MEDIA + "../a.ts\n#EXT-X-ENDLIST\n",
        "/a.ts": segment,
    }
    assert numbers(server.url("/top.m3u8")) == [0, 1, 2, 3, 4]
    assert numbers(server.url("/low/media.m3u8?token=1")) == [0, 1, 2, 3, 4]


def test_addresses_in_a_playlist_refer_to_where_it_was_redirected(server: Server, clip: Path) -> None:
    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", server.url("/deep/down/media.m3u8"))
        handler.end_headers()

    server.answers |= {
        "/top.m3u8": elsewhere,
        "/deep/down/media.m3u8": MEDIA + "a.ts\n#EXT-X-ENDLIST\n",
        "/deep/down/a.ts": clip.read_bytes(),
    }
    assert numbers(server.url("/top.m3u8")) == [0, 1, 2, 3, 4]


def test_a_missing_segment_is_passed_over(server: Server, clip: Path) -> None:
    server.answers |= {
        "/media.m3u8": MEDIA + "none.ts\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n",
        "/a.ts": clip.read_bytes(),
    }
    assert numbers(server.url("/media.m3u8")) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"/a": "#EXTM3U\n" + "".join(f"#EXT-X-STREAM-INF:BANDWIDTH=1\na?{i}\n" for i in range(300))}, "100"),
        (
            {"/a": "#EXTM3U\n" + "".join(
                f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g",NAME="{i}",URI="a?{i}"\n' for i in range(300)
            )},
            "100",
        ),
        ({"/a": MASTER + "b\n", "/b": MASTER + "c\n"}, "another master playlist"),
        ({"/a": MASTER + "a?1\n"}, "another master playlist"),
        ({"/a": MEDIA + "a\n#EXT-X-ENDLIST\n"}, "another playlist as a segment"),
        ({"/a": MEDIA + "b.ts\n#EXT-X-ENDLIST\n", "/b.ts": MEDIA}, "another playlist as a segment"),
        ({"/a": MEDIA + "s.ts\n#EXTINF:1,\n" * 150_000}, "more than 200,000 lines"),
        ({"/a": "#EXTM3U\n#" + "x" * 9_000_000}, "more than 8,388,608 bytes"),
    ],
    ids=["variants", "sound", "nested", "itself", "own segment", "segment", "segments", "size"],
)  # fmt: skip
def test_a_playlist_that_goes_on_is_refused(server: Server, answers: dict[str, str], reason: str) -> None:
    server.answers |= dict(answers)
    found: list[str] = []
    assert grown(lambda: found.append(refusal(server.url("/a")))) < 200
    assert reason in found[0] and len(server.asked) < 20


def test_a_playlist_without_end_is_refused(server: Server) -> None:
    server.answers["/a"] = endless(b"#EXTM3U\n", b"#EXTINF:1,\na.ts\n" * 2**16)
    assert "more than 8,388,608 bytes" in refusal(server.url("/a"))


def test_a_live_playlist_that_changes_into_a_master_is_refused(server: Server, clip: Path) -> None:
    """The checked playlist is the one that is loaded, also at a reload."""
    count = iter(range(10_000))

    def answer(handler: BaseHTTPRequestHandler) -> None:
        # The first is for the start, the second asks where it leads.
        text = MEDIA + "a.ts\n" if next(count) < 2 else MASTER + "b\n"
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(text.encode())

    server.answers |= {"/media.m3u8": answer, "/a.ts": clip.read_bytes()}
    told: list[str] = []
    live = LiveOptions(give_up_after=3.0, announce=told.append)
    with pytest.raises(UserError), open_source(server.url("/media.m3u8"), print, live) as source:
        list(source.frames("bgr"))
    assert "/b" not in server.asked
