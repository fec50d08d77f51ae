"""The key of a hive's generation: 32 random bytes, sealed to each member, and what it encrypts.

    sealed key   ephemeral X25519 key 32 | ChaCha20-Poly1305 of the key 32, tag 16
    sealed body  version 2 | generation 4 | nonce 12 | ciphertext, tag 16

The sealing key is HKDF-SHA256 of the agreement between an ephemeral key and the device's Ed25519
key moved to the Montgomery curve (as in `seal.py`), with hive, generation and both ends in the
info, so that it is used once and its nonce may be constant.

Guards: revoking is a new generation, which a revoked device is not given; old generations are kept,
so what was written before stays readable. A body's nonce is a keyed hash of its place and text, in
the manner of SIV (RFC 5297): devices share a key without sharing a counter, and one body at one
place has one encryption, so that saying a thing again does not look like a second thing said. Every
body has a key of its own, made of the generation's and the nonce: shown in a receipt it opens this
body, whose signature covers the ciphertext, and no other.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pockethive.core.canonical import digest
from pockethive.core.errors import BadEncoding, BadSignature
from pockethive.dht.identity import Identity
from pockethive.dht.seal import montgomery

KEY_SIZE: Final = 32
SEALED_SIZE: Final = 32 + KEY_SIZE + 16
BODY_OVERHEAD: Final = 1 + 4 + 12 + 16
MAX_GENERATION: Final = 2**32 - 1

_VERSION: Final = 2
_ZERO_NONCE: Final = bytes(12)


def seal_key(
    key: bytes, device: bytes, hive: bytes, generation: int, randbytes: Callable[[int], bytes]
) -> bytes:
    """The key of a generation for one device's Ed25519 key. Raises BadEncoding: no usable key."""
    ephemeral = X25519PrivateKey.from_private_bytes(randbytes(32))
    public = ephemeral.public_key().public_bytes_raw()
    try:
        agreed = ephemeral.exchange(X25519PublicKey.from_public_bytes(montgomery(device)))
    except ValueError as error:
        raise BadEncoding("a key of low order", where="key") from error
    cipher = _sealing(agreed, hive, generation, public + device)
    return public + cipher.encrypt(_ZERO_NONCE, key, None)


def open_key(identity: Identity, sealed: bytes, hive: bytes, generation: int) -> bytes:
    """The key behind `seal_key`.

    Raises:
        BadEncoding: another size. BadSignature: sealed for another device, hive or generation.
    """
    if len(sealed) != SEALED_SIZE:
        raise BadEncoding(f"a sealed key has {SEALED_SIZE} bytes")
    public = sealed[:32]
    try:
        secret = X25519PrivateKey.from_private_bytes(identity.agreement_secret)
        agreed = secret.exchange(X25519PublicKey.from_public_bytes(public))
        cipher = _sealing(agreed, hive, generation, public + identity.public)
        return cipher.decrypt(_ZERO_NONCE, sealed[32:], None)
    except (InvalidTag, ValueError) as error:
        raise BadSignature("the hive's key is not sealed for this device") from error


class HiveKeys:
    """The generations that a device knows; seals with the newest. Any thread."""

    def __init__(self, keys: Mapping[int, bytes] | None = None) -> None:
        self._generations: dict[int, _Generation] = {}
        self._lock = threading.Lock()
        self.newest = 0
        for generation, key in (keys or {}).items():
            self.add(generation, key)

    def add(self, generation: int, key: bytes) -> None:
        """Learn a generation's key. Raises BadEncoding: out of range, or another size."""
        if not 0 < generation <= MAX_GENERATION or len(key) != KEY_SIZE:
            raise BadEncoding("not a generation's key")
        with self._lock:
            self._generations = {**self._generations, generation: _Generation(key)}
            self.newest = max(self.newest, generation)

    def knows(self, generation: int) -> bool:
        return generation in self._generations

    def seal(self, context: bytes, plain: bytes) -> bytes:
        """Encrypt under the newest generation; `context` is authenticated with it.

        Raises:
            BadEncoding: no generation is known.
        """
        generation = self._generations.get(self.newest)
        if generation is None:
            raise BadEncoding("this device has no key of its hive")
        head = bytes([_VERSION]) + self.newest.to_bytes(4, "big")
        return head + generation.seal(head + context, plain)

    def open(self, context: bytes, sealed: bytes) -> bytes:
        """What `seal` was given.

        Raises:
            BadEncoding: not a sealed body, or of a generation that this device was not given.
            BadSignature: it does not open: another hive's, damaged, or of another place.
        """
        head, generation = self._head_of(sealed)
        return _opened(generation.body_key(sealed[5:17]), head + context, sealed[5:])

    def body_key(self, sealed: bytes) -> bytes:
        """The 32 bytes that open this body and no other, see `open_body`. Raises BadEncoding."""
        _, generation = self._head_of(sealed)
        return generation.body_key(sealed[5:17])

    def _head_of(self, sealed: bytes) -> "tuple[bytes, _Generation]":
        head = _head(sealed)
        generation = self._generations.get(int.from_bytes(head[1:], "big"))
        if generation is None:
            raise BadEncoding("a body of a generation that this device has no key of", where="key")
        return head, generation


def open_body(key: bytes, context: bytes, sealed: bytes) -> bytes:
    """What `HiveKeys.seal` was given, for who has nothing but the key of this one body.

    Raises:
        BadEncoding: not a sealed body. BadSignature: it does not open with this key, here.
    """
    head = _head(sealed)
    if len(key) != KEY_SIZE:
        raise BadEncoding(f"the key of a body has {KEY_SIZE} bytes")
    return _opened(key, head + context, sealed[5:])


def _head(sealed: bytes) -> bytes:
    if len(sealed) < BODY_OVERHEAD or sealed[0] != _VERSION:
        raise BadEncoding(f"not an encrypted body of version {_VERSION}", where="unsealed")
    return sealed[:5]


def _opened(key: bytes, context: bytes, sealed: bytes) -> bytes:
    try:
        return ChaCha20Poly1305(key).decrypt(sealed[:12], sealed[12:], context)
    except InvalidTag as error:
        raise BadSignature("an encrypted body that does not open", where="unsealed") from error


class _Generation:
    """The key of body keys and the key of nonces of one generation."""

    __slots__ = ("_body_key", "_nonce_key")

    def __init__(self, key: bytes) -> None:
        self._body_key = _derive(key, b"pockethive/1 body")
        self._nonce_key = _derive(key, b"pockethive/1 body nonce")

    def seal(self, context: bytes, plain: bytes) -> bytes:
        nonce = digest("body nonce", self._nonce_key, context, plain)[:12]
        return nonce + ChaCha20Poly1305(self.body_key(nonce)).encrypt(nonce, plain, context)

    def body_key(self, nonce: bytes) -> bytes:
        return digest("body key", self._body_key, nonce)


def _sealing(agreed: bytes, hive: bytes, generation: int, ends: bytes) -> ChaCha20Poly1305:
    info = b"pockethive/1 hive key" + hive + generation.to_bytes(4, "big") + ends
    return ChaCha20Poly1305(_derive(agreed, info))


def _derive(secret: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, info).derive(secret)
