"""Digest authentication through the relay."""

import hashlib
import re

import pytest

from runtime.sources.rtsp.login import Login


@pytest.mark.parametrize(
    ("extra", "response"),
    [
        # RFC 2617, section 3.5.
        (', qop="auth", nc=00000001, cnonce="0a4f113b"', "6629fae49393a05397450978507c4ef1"),
        # RFC 2069 with the same values: MD5(MD5(A1):nonce:MD5(A2)), from md5sum.
        ("", "670fd8c2df070c60b045671b8b24ff02"),
    ],
)
def test_the_response_is_for_the_address_that_the_server_knows(extra: str, response: str) -> None:
    given = (
        'Authorization: Digest username="Mufasa", realm="testrealm@host.com", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="rtsp://127.0.0.1:4/x", response="0123", '
        f'opaque="5ccc069c403ebaf9f0171e9517f40e41"{extra}'
    )
    seen = Login("Mufasa:Circle%20Of%20Life").rewritten(given.encode(), b"GET", b"/dir/index.html").decode()
    assert re.findall(r'(?:uri|response)="(.*?)"', seen) == ["/dir/index.html", response]
    assert seen.replace("/dir/index.html", "rtsp://127.0.0.1:4/x").replace(response, "0123") == given


def test_a_realm_with_quotation_marks_is_hashed_without_and_sent_with_backslashes() -> None:
    """RFC 7616, section 3.4: of the quoted string only its value is hashed. FFmpeg sends it unescaped."""
    given = (
        b'Authorization: Digest username="m"e", realm="Cam "rain", c:\\1", nonce="n", '
        b'uri="rtsp://127.0.0.1:4/x", response="0123", algorithm="MD5"'
    )
    secret = hashlib.md5(b'm"e:Cam "rain", c:\\1:pw').hexdigest()
    place = hashlib.md5(b"DESCRIBE:/a").hexdigest()
    response = hashlib.md5(f"{secret}:n:{place}".encode()).hexdigest()
    assert Login("m%22e:pw").rewritten(given, b"DESCRIBE", b"/a").decode() == (
        'Authorization: Digest username="m\\"e", realm="Cam \\"rain\\", c:\\\\1", nonce="n", '
        f'uri="/a", response="{response}", algorithm="MD5"'
    )


def test_another_scheme_stays_as_it_is() -> None:
    assert Login("me:x").rewritten(b"Authorization: Basic bWU6eA==", b"GET", b"/") == (
        b"Authorization: Basic bWU6eA=="
    )
