"""Frames of the blob protocol, version 2, inside a TLS channel. The bytes are in docs/wire.md.

    server: magic 4, nonce 32 | client: key 32, signature 64
    client: name 32, index 4  | server: kind 1, size 4, bytes      (again and again, in order)

Guards: a size is believed only up to what its kind may have, before anything is allocated.
"""

import struct
from typing import Final

from pockethive.core.canonical import digest
from pockethive.core.errors import ProtocolError
from pockethive.dht import reasons
from pockethive.dht.carrier import HEAD, Kind
from pockethive.dht.chunks import CHUNK, MAX_MANIFEST
from pockethive.dht.identity import PUBLIC_SIZE, SIGNATURE_SIZE

MAGIC: Final = b"PHB2"
NONCE_SIZE: Final = 32
GREETING_SIZE: Final = len(MAGIC) + NONCE_SIZE
PROOF_SIZE: Final = PUBLIC_SIZE + SIGNATURE_SIZE
REQUEST: Final = struct.Struct(">32sI")
ANSWER: Final = struct.Struct(">BI")

_LARGEST: Final = {
    Kind.WHOLE: CHUNK,
    Kind.MANIFEST: MAX_MANIFEST,
    Kind.CHUNK: CHUNK,
    Kind.REFUSED: 0,
}


def challenge(nonce: bytes, server: bytes, client: bytes) -> bytes:
    """What a client signs to prove its key to this server, in this connection."""
    return digest("blob-client", nonce, server, client)


def pack_request(name: str, index: int) -> bytes:
    """`name` is 64 hex digits, `index` a chunk's number or `HEAD`."""
    return REQUEST.pack(bytes.fromhex(name), index)


def unpack_request(data: bytes) -> tuple[str, int]:
    """Name and index; any 36 bytes are a request."""
    name, index = REQUEST.unpack(data)
    return name.hex(), index


def unpack_answer(head: bytes | bytearray, index: int) -> tuple[Kind, int]:
    """Kind and size in bytes of the answer to a request for `index`.

    Raises:
        ProtocolError: an unknown kind, one that was not asked for, or over its bound.
    """
    number, size = ANSWER.unpack(head)
    if number not in iter(Kind):
        raise ProtocolError(f"an answer of unknown kind {number}", where=reasons.BLOB_FRAME)
    kind = Kind(number)
    if kind is not Kind.REFUSED and (kind is Kind.CHUNK) == (index == HEAD):
        raise ProtocolError("an answer to another question", where=reasons.BLOB_FRAME)
    if size > _LARGEST[kind]:
        raise ProtocolError(
            f"an answer of {size} bytes, at most {_LARGEST[kind]}", where=reasons.BLOB_FRAME
        )
    return kind, size
