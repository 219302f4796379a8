"""Rewrites FFmpeg's answer to a challenge for the address that the server knows (RFC 7616)."""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_DIGEST = re.compile(rb"Authorization:\s*Digest\s", re.IGNORECASE)
_QUOTED = re.compile(rb'(\w+)="(.*?)"(?=,\s*\w+=|\s*$)')
"""A field as FFmpeg writes it: it unescapes what the server sends, and then escapes no quotation mark."""

_ESCAPED = re.compile(rb'["\\]')
_COUNT = re.compile(rb"\bnc=(\w+)")


@dataclass(frozen=True)
class Login:
    """User and password, percent-encoded as in an address: ``me:p%40ss``."""

    quoted: str

    def rewritten(self, header: bytes, method: bytes, uri: bytes) -> bytes:
        """An ``Authorization`` header of FFmpeg, with ``uri`` and the response that belongs to it.

        A header of another scheme than Digest does not depend on the address and stays as it is.
        """
        if not _DIGEST.match(header):
            return header
        fields = dict(_QUOTED.findall(header))
        count = _COUNT.search(header)
        changed = {b"uri": uri, b"response": self._response(fields, count[1] if count else b"", method, uri)}

        def replaced(match: re.Match[bytes]) -> bytes:
            value = changed.get(match[1], match[2])
            return b'%b="%b"' % (match[1], _ESCAPED.sub(rb"\\\g<0>", value))

        return _QUOTED.sub(replaced, header)

    def _response(self, fields: dict[bytes, bytes], count: bytes, method: bytes, uri: bytes) -> bytes:
        user, _, password = unquote_to_bytes(self.quoted).partition(b":")
        nonce, client = fields.get(b"nonce", b""), fields.get(b"cnonce", b"")
        secret = _md5(user, fields.get(b"realm", b""), password)
        if fields.get(b"algorithm", b"").lower() == b"md5-sess":
            secret = _md5(secret, nonce, client)
        quality = fields.get(b"qop")
        between = (count, client, quality) if quality else ()
        return _md5(secret, nonce, *between, _md5(method, uri))


def _md5(*parts: bytes) -> bytes:
    return hashlib.md5(b":".join(parts), usedforsecurity=False).hexdigest().encode()
