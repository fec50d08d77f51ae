"""Who a device is: an Ed25519 key, the node id derived from it, the owner's certificate over it.

Guards: the private key never leaves this object, its file has mode 0600 and is written atomically;
a node id is a hash of the key, so nobody chooses where in the network he sits.
"""

import contextlib
import functools
import hashlib
import os
import secrets
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pockethive.core.canonical import digest, from_text, to_text
from pockethive.core.errors import BadEncoding, StorageError

PUBLIC_SIZE = 32
SIGNATURE_SIZE = 64
NODE_ID_SIZE = 20

_HEADER = "pockethive-key-1"
_CACHE_SIZE = 4096


class Identity:
    """An Ed25519 key pair. Threads may share it; `repr` shows the public half only."""

    FILE: ClassVar[str] = "device.key"

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public: bytes = self._private.public_key().public_bytes_raw()

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The identity behind a 32-byte secret seed."""
        return cls(seed)

    @classmethod
    def load_or_create(cls, folder: Path, seed: Callable[[], bytes] | None = None) -> Self:
        """Read the key file in `folder`, or make one on the first call.

        `seed` makes the 32 secret bytes, where an open hive wants work in the key (`puzzle.work`).

        Raises:
            StorageError: unreadable, readable by others, or not a key file.
        """
        path = folder / cls.FILE
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not path.exists():
                _create(path, seed() if seed else secrets.token_bytes(32))
            return cls(_read(path))
        except OSError as error:
            raise StorageError(
                f"cannot read or write the key: {error.strerror}",
                where=str(path),
                cure="choose a home folder you may write to",
            ) from error

    @property
    def node_id(self) -> bytes:
        """Where this device sits in the network."""
        return node_id(self.public)

    @property
    def agreement_secret(self) -> bytes:
        """The X25519 scalar of this key (RFC 8032, section 5.1.5, steps 1, 2). Keep it secret."""
        scalar = bytearray(hashlib.sha512(self._seed).digest()[:32])
        scalar[0] &= 248
        scalar[31] = scalar[31] & 127 | 64
        return bytes(scalar)

    def secret(self, purpose: str) -> bytes:
        """32 secret bytes for a purpose, always the same, from which the key cannot be told."""
        return digest("secret of a key", purpose.encode(), self._seed)

    def sign(self, message: bytes) -> bytes:
        """64 bytes. Sign only domain-tagged digests (`core.canonical.digest`)."""
        signature = self._private.sign(message)
        _SEEN.put(_name_of(self.public, message, signature), verdict=True)  # shown to itself, too
        return signature

    def tls_key(self) -> Ed25519PrivateKey:
        """The key object for the certificate that pins this device."""
        return self._private

    def __repr__(self) -> str:
        return f"{type(self).__name__}({to_text(self.public)})"


class OwnerKey(Identity):
    """A person's key. It certifies devices and signs nothing else here."""

    FILE: ClassVar[str] = "owner.key"


@functools.lru_cache(maxsize=16_384)
def node_id(public: bytes) -> bytes:
    """20 bytes from the public key, domain-tagged."""
    return digest("node-id", public)[:NODE_ID_SIZE]


def certify(owner: Identity, device_public: bytes) -> bytes:
    """The owner's signature that a device is his."""
    return owner.sign(_certificate(owner.public, device_public))


def certified(owner_public: bytes, device_public: bytes, signature: bytes) -> bool:
    """Whether the owner signed for the device. Never raises."""
    return verify(owner_public, _certificate(owner_public, device_public), signature)


class _Seen:
    """Verdicts on signatures already checked: the same record arrives from up to k holders."""

    def __init__(self) -> None:
        self._verdicts: OrderedDict[bytes, bool] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> bool | None:
        with self._lock:
            return self._verdicts.get(key)

    def put(self, key: bytes, *, verdict: bool) -> None:
        with self._lock:
            self._verdicts[key] = verdict
            if len(self._verdicts) > _CACHE_SIZE:
                self._verdicts.popitem(last=False)


_SEEN = _Seen()


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is `public`'s over `message`. Never raises; any thread."""
    if len(public) != PUBLIC_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    key = _name_of(public, message, signature)
    verdict = _SEEN.get(key)
    if verdict is None:
        verdict = _verify(public, message, signature)
        _SEEN.put(key, verdict=verdict)
    return verdict


def _name_of(public: bytes, message: bytes, signature: bytes) -> bytes:
    return hashlib.sha256(public + signature + message).digest()


def _verify(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _certificate(owner_public: bytes, device_public: bytes) -> bytes:
    return digest("owner-certifies-device", owner_public, device_public)


def _create(path: Path, seed: bytes) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{_HEADER} {to_text(seed)}\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces a key that another process made meanwhile.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StorageError(
            "others can read the secret key", where=str(path), cure=f"chmod 600 {path}"
        )
    try:
        header, _, text = path.read_text(encoding="ascii").strip().partition(" ")
        if header != _HEADER:
            raise BadEncoding("another header")
        return from_text(text, 32)
    except (BadEncoding, UnicodeDecodeError) as error:
        raise StorageError(
            "not a PocketHive key file",
            where=str(path),
            cure="move it away to get a new key, or restore it from a backup",
        ) from error
