"""The certificate under which a device serves blobs, and the key in another device's.

Only the key counts: certificates of devices differ in it and in their signatures, so that theirs is
written out here (X.509 of RFC 5280, Ed25519 of RFC 8410); a library for any certificate would be 2
MB of every idle node. Guards: whoever reads another's certificate reads it with that library.
"""

import base64
import contextlib
import warnings
from typing import Final

from pockethive.dht.identity import Identity

_ED25519: Final = bytes.fromhex("300506032b6570")
# version 3, number 1, Ed25519, issuer CN=pockethive, 2020-01-01 to 2119-12-08, subject the same
_BEFORE_KEY: Final = bytes.fromhex(
    "30818ba003020102020101300506032b657030153113301106035504030c0a706f636b657468697665"
    "3020170d3230303130313030303030305a180f32313139313230383030303030305a"
    "30153113301106035504030c0a706f636b657468697665302a300506032b6570032100"
)
_CERTIFICATE: Final = bytes.fromhex("3081d8")  # a sequence of 216 bytes
_SIGNATURE: Final = bytes.fromhex("034100")  # 64 bytes as bits
_SECRET: Final = bytes.fromhex("302e020100300506032b657004220420")


def certificate_pem(identity: Identity) -> bytes:
    """The device's key, secret, and a certificate over it that it signed itself."""
    content = _BEFORE_KEY + identity.public
    signature = identity.tls_key().sign(content)
    certificate = _CERTIFICATE + content + _ED25519 + _SIGNATURE + signature
    secret = _SECRET + identity.tls_key().private_bytes_raw()
    return _pem("PRIVATE KEY", secret) + _pem("CERTIFICATE", certificate)


def certified_key(certificate: bytes | None) -> bytes | None:
    """The Ed25519 key in a certificate (DER); None when there is none. Never raises."""
    # Two megabytes that a node needs when it fetches, not while it waits.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.utils import CryptographyDeprecationWarning

    refused = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
    with contextlib.suppress(*refused), warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # of odd serial numbers
        key = x509.load_der_x509_certificate(certificate or b"").public_key()
        if isinstance(key, Ed25519PublicKey):
            return key.public_bytes_raw()
    return None


def _pem(title: str, der: bytes) -> bytes:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {title}-----\n{text}-----END {title}-----\n".encode()
