"""Private blobs: encrypted before they are named, so holders keep what they cannot read.

    piece: version 1 | ChaCha20-Poly1305(plain text of up to 1 MiB - 17)

The nonce is the piece's number, the associated data domain, number and whether it is the last one
(Hoang, Reyhanitabar, Rogaway, Vizár 2015: STREAM), so pieces can be neither reordered nor cut off.
The key travels elsewhere, never with the blob.

Guards: a key is made here for each blob and used for it alone, so counting nonces is safe; nothing
is given out of a piece before it has been authenticated.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from pockethive.core.errors import ProtocolError
from pockethive.dht import reasons
from pockethive.dht.audience import NOBODY, Audience
from pockethive.dht.blob_files import Source, pieces_of
from pockethive.dht.blobs import BlobStore
from pockethive.dht.chunks import CHUNK, Bytes

KEY_SIZE: Final = 32

_VERSION: Final = 1
_TAG: Final = 16
_DOMAIN: Final = b"pockethive/1 sealed-blob"
PLAIN: Final = CHUNK - 1 - _TAG  # a sealed piece is one chunk of the blob


def seal_blob(
    store: BlobStore,
    source: bytes | Source,
    audience: Audience = NOBODY,
    randbytes: Callable[[int], bytes] = os.urandom,
) -> tuple[str, bytes]:
    """Encrypt and keep; the blob's name and its key. Holds two pieces in memory.

    Raises:
        StorageError: too large, over the quota, or the disk refuses.
    """
    key = randbytes(KEY_SIZE)
    plain = (source,) if isinstance(source, bytes) else source
    return store.put_stream(_sealed(plain, key), audience), key


def open_blob(store: BlobStore, name: str, key: bytes) -> Iterator[bytes]:
    """The plain text of a blob that is here, piece by piece. What came before an error was right.

    Raises:
        ProtocolError: another key, or bytes that were changed, reordered or cut.
        StorageError: not here, or damaged on the disk.
    """
    if len(key) != KEY_SIZE:
        raise ProtocolError(
            f"the key of a sealed blob has {KEY_SIZE} bytes", where=reasons.BLOB_SEAL
        )
    return opened(store.chunks(name), key)


def opened(pieces: Iterable[bytes], key: bytes) -> Iterator[bytes]:
    """The plain text behind sealed pieces. Raises ProtocolError as `open_blob` does."""
    cipher = ChaCha20Poly1305(key)
    for number, (piece, last) in enumerate(_with_last(pieces)):
        if not piece or piece[0] != _VERSION:
            raise ProtocolError("not a sealed blob of version 1", where=reasons.BLOB_SEAL)
        try:
            yield cipher.decrypt(_nonce(number), piece[1:], _context(number, last=last))
        except InvalidTag as error:
            raise ProtocolError(
                f"piece {number} of the sealed blob does not open with this key",
                where=reasons.BLOB_SEAL,
            ) from error


def _sealed(source: Source, key: bytes) -> Iterator[bytes]:
    cipher = ChaCha20Poly1305(key)
    for number, (piece, last) in enumerate(_with_last(pieces_of(source, PLAIN))):
        body = cipher.encrypt(_nonce(number), piece, _context(number, last=last))
        yield bytes((_VERSION,)) + body


def _with_last(pieces: Iterable[Bytes]) -> Iterator[tuple[Bytes, bool]]:
    """Each piece with whether it is the last; an empty one when there is none."""
    held: Bytes | None = None
    for piece in pieces:
        if held is not None:
            yield held, False
        held = piece
    yield b"" if held is None else held, True


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _context(number: int, *, last: bool) -> bytes:
    return _DOMAIN + number.to_bytes(8, "big") + bytes((last,))
