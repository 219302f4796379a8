"""A certificate for DTLS on the curve P-256, which every WebRTC server knows (RFC 8827, section 6.5).

FFmpeg makes one of its own, but that of PyAV 18's wheel is on another curve, which OpenSSL refuses.
"""

import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from granet.app.extras import require

_PACKAGE = "cryptography"
_VALID = datetime.timedelta(days=30)


def require_certificates() -> None:
    """Checks that a certificate can be made.

    Raises:
        UserError: if the package for it is not installed.
    """
    require("pushing over WHIP", _PACKAGE)


def write_certificate(folder: Path) -> dict[str, str]:
    """Makes a key and its self-signed certificate; the server knows it by its hash in the offer.

    Args:
        folder: where they are written; nobody else may read it.

    Returns:
        The options of FFmpeg's WHIP muxer that name them.
    """
    x509: Any = import_module("cryptography.x509")
    hashes: Any = import_module("cryptography.hazmat.primitives.hashes")
    coded: Any = import_module("cryptography.hazmat.primitives.serialization")
    curves: Any = import_module("cryptography.hazmat.primitives.asymmetric.ec")
    key = curves.generate_private_key(curves.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "WebRTC")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _VALID)
        .not_valid_after(now + _VALID)
        .sign(key, hashes.SHA256())
    )
    files = {
        "cert_file": certificate.public_bytes(coded.Encoding.PEM),
        "key_file": key.private_bytes(coded.Encoding.PEM, coded.PrivateFormat.PKCS8, coded.NoEncryption()),
    }
    for option, content in files.items():
        (folder / f"{option}.pem").write_bytes(content)
    return {option: str(folder / f"{option}.pem") for option in files}
