"""Certificates of devices: what we write is what a library for certificates would write."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from pockethive.dht.certificate import certificate_pem, certified_key
from pockethive.dht.identity import Identity
from pockethive.dht.testing import somebody


def by_library(identity: Identity) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pockethive")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    key = identity.tls_key()
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(key.public_key()).not_valid_before(start)
    made = builder.not_valid_after(start + datetime.timedelta(days=36500)).sign(key, None)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret + made.public_bytes(Encoding.PEM)


def body_of(pem: bytes) -> list[bytes]:
    """Titles and contents, however long the lines are."""
    return pem.replace(b"\n", b"").split(b"-----")


@given(st.binary(min_size=32, max_size=32))
def test_a_devices_certificate_is_the_librarys_byte_for_byte(seed: bytes) -> None:
    identity = Identity.from_seed(seed)
    assert body_of(certificate_pem(identity)) == body_of(by_library(identity))


def test_the_key_is_read_back_from_the_certificate() -> None:
    anna = somebody("anna")
    certificate = x509.load_pem_x509_certificate(certificate_pem(anna))
    assert certified_key(certificate.public_bytes(Encoding.DER)) == anna.public


@given(st.none() | st.binary(max_size=300))
def test_what_is_no_certificate_holds_no_key(data: bytes | None) -> None:
    assert certified_key(data) is None


@given(st.integers(0, 218), st.integers(1, 255))
def test_a_changed_certificate_holds_another_key_or_none_or_raises_nothing(
    at: int, change: int
) -> None:
    pem = x509.load_pem_x509_certificate(certificate_pem(somebody("anna")))
    changed = bytearray(pem.public_bytes(Encoding.DER))
    changed[at] ^= change
    found = certified_key(bytes(changed))
    assert found is None or len(found) == 32
