import json
from urllib.parse import quote, quote_plus

import pytest

from granet.app.credentials import conceal, conceal_addresses, mask


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://cam:554/stream1", "rtsp://cam:554/stream1"),
        ("rtsp://me:s3cret@cam:554/1", "rtsp://***@cam:554/1"),
        ("http://[fe80::1]:8080/a/b.cgi", "http://[fe80::1]:8080/a/b.cgi"),
        ("HTTP://me:s3cret@cam/1", "HTTP://***@cam/1"),
        # Parameters have any name, or none.
        ("http://cam/v?channel=1&subtype=0", "http://cam/v?***"),
        ("http://cam/v?pw=s3cret", "http://cam/v?***"),
        ("http://cam/v?auth=s3cret#t", "http://cam/v?***"),
        ("http://cam/v?s3cret", "http://cam/v?***"),
        ("http://cam/v#s3cret", "http://cam/v?***"),
        ("http://cam/v;s3cret/x", "http://cam/v?***"),
        ("http://cam/v%3Fpw%3Ds3cret", "http://cam/v?***"),
        ("http://cam/v?quoted='s3cret'and", "http://cam/v?***"),
        ("rtsp://cam/user=admin_password=s3cret_channel=1_stream=0.sdp?real_stream", "rtsp://cam/***?***"),
        ("rtsp://cam/live/token=s3cret/ch0", "rtsp://cam/live/***/ch0"),
        ("rtsp://cam/live/user%3Dadmin%26pw%3Ds3cret", "rtsp://cam/live/***?***"),
        # The key of an RTMP address is the end of its path.
        ("rtmp://me:s3cret@host/app/s3cret", "rtmp://***@host/app/***"),
        # Mistyped, but the password is real.
        ("rtsp:/me:s3cret@cam/1", "rtsp:/***@cam/1"),
        ("rtsp:///me:s3cret@cam/1", "rtsp:///***@cam/1"),
        ("rtsp//me:s3cret@cam/1", "rtsp//***@cam/1"),
        ("rtsp;//me:s3cret@cam/1", "rtsp;//***@cam/1"),
        ("rtsp:me:s3cret@cam/1", "rtsp:***@cam/1"),
        ("rtsp:\\\\me:s3cret@cam/1", "rtsp:\\\\***@cam/1"),
        ("rstp://me:s3cret@cam/1", "rstp://***@cam/1"),
        ("me:s3cret@cam/1", "***@cam/1"),
        ("drawn:s3cret@cam/1", "***@cam/1"),
        ("rain1:s3cret@cam/1", "***@cam/1"),
        ("//me:s3cret@cam/1", "***@cam/1"),
        ("rtsp://me:s3cret", "rtsp://***"),
        ("rtsp://me:1234567/1", "rtsp://***/1"),
        ("rtsp://me/s3cret@cam/1", "rtsp://me/***/1"),
        ("rtsp://me:s3/cret@cam/1", "rtsp://***@cam/1"),
        ("rtsp://me:s3\ncret@cam/1", "rtsp://***@cam/1"),
        ("cam.local/v?pw=s3cret", "cam.local/v?***"),
        ("cam:554/user=admin_password=s3cret", "cam:554/***"),
        ("192.0.2.7/user=admin_password=s3cret", "192.0.2.7/***"),
    ],
)
def test_of_an_address_only_scheme_host_port_and_path_are_shown(address: str, shown: str) -> None:
    assert mask(address) == shown
    assert mask(f"error: {address}: no answer") == f"error: {shown}: no answer"
    assert mask(f"given '{address}', twice") == f"given '{shown}', twice"
    assert mask(mask(address)) == shown


@pytest.mark.parametrize("password", ["p@ss", "p/ss", "p?ss", "p#ss", "p ss", "1234/5", "@", "a@b/c?d#e"])
def test_a_password_with_unquoted_characters_is_hidden(password: str) -> None:
    shown = mask(f"error: rtsp://me:{password}@cam:554/1: no answer")
    assert shown == "error: rtsp://***@cam:554/1: no answer"


def test_properties_of_a_pipeline_are_hidden() -> None:
    text = 'gst:rtspsrc location=rtsp://cam/1?s3cret user-pw=s3cret name="a s3cret" ! decodebin: it stopped'
    assert mask(text) == "gst:rtspsrc location=*** user-pw=*** name=*** ! decodebin: it stopped"


@pytest.mark.parametrize(
    "text",
    [
        "page: http://127.0.0.1:8080/",
        "dry@2x.png: no such file or directory",
        "frames/img_????.png: matches no pictures",
        "/data/cam=1/day=2/a.mp4 -> b.mkv",
        "file:/data/day=2/a.mp4",
        "--raw foo: write WIDTHxHEIGHT:FORMAT@RATE, as in 640x480:bgr24@25",
        "--raw 640x480:bgr24@30: needs --input -",
        "--train: 'drawn:8@half': expected a number of streets, as in drawn:8",
        "gst: needs a pipeline after the colon",
        "write rtsp://HOST:PORT/PATH or rtmp://HOST/APP/KEY, with an optional USER:PASSWORD@ before HOST",
        "http: is not a supported scheme; use http, https, rtsp, rtsps or file",
        "http://${HOST}:${PORT}/video",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert mask(text) == text


SECRETS = ["s3cret", "p@ss/w?rd", "zwei Wörter", "q\"u'o\\te", "日本", "100%", "a+b=c&d", "x" * 500]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_value_from_the_environment_is_hidden_in_every_form(secret: str) -> None:
    conceal(secret)
    forms = [
        secret,
        secret.upper(),
        quote(secret),
        quote(secret, safe=""),
        quote(secret, safe="").lower(),
        quote(quote(secret, safe=""), safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        " ".join(secret.split()),
    ]
    for form in forms:
        assert mask(f"<{form}>") == "<***>"
        assert mask(f"rec-{form}.mkv") == "rec-***.mkv"
        assert mask(f"in {form}/a: [Errno 5]") == "in ***/a: [Errno 5]"


def test_a_value_that_is_not_utf_8_is_hidden() -> None:
    # The environment has bytes, which Python represents as lone surrogates.
    conceal("caf\udce9")
    assert mask("caf%E9 caf\udce9") == "*** ***"


def test_a_short_value_is_hidden_where_it_stands_alone() -> None:
    conceal("7a")
    assert mask("7a b7a /7a/ pw%3D7a 7ab") == "*** b7a /***/ pw%3D*** 7ab"


@pytest.mark.parametrize("empty", ["", " ", "***"])
def test_an_empty_value_hides_nothing(empty: str) -> None:
    conceal(empty)
    assert mask("a b") == "a b"


def test_an_address_with_spaces_is_hidden_once_it_is_known() -> None:
    conceal_addresses(["me:s3 cret@cam/1", "my movie.mp4", "http://cam/v?pw=s3 cret"])
    shown = mask("error: me:s3 cret@cam/1: gone; my movie.mp4; http://cam/v?pw=s3 cret: gone")
    assert shown == "error: ***@cam/1: gone; my movie.mp4; http://cam/v?***: gone"
