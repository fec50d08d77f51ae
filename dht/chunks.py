"""A blob's name and its chunks: what is hashed, how, and what a chunk is checked against.

A blob of one chunk (at most 1 MiB) is named by the SHA-256 of its bytes. A larger one is named by
its tree: leaves SHA-256(0 ‖ chunk), nodes SHA-256(1 ‖ left ‖ right) in the shape of RFC 6962,
section 2.1, then BLAKE2b-256(size ‖ root) with a tag of its own. Another function names trees
because SHA-256 names bytes: with SHA-256 those few bytes (size and root) would be a small blob of
the same name, and a holder could give it in place of the large one.

Guards: a name means one sequence of bytes; a manifest is believed only when it leads to the name.
Everything here is pure.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.dht import reasons

CHUNK: Final = 2**20
MAX_CHUNKS: Final = 2**15
MAX_BLOB: Final = CHUNK * MAX_CHUNKS  # 32 GiB: its manifest still fits into one frame
LEAF_SIZE: Final = 32


_VERSION = 1
_HEAD = struct.Struct(">BQ")
_PERSON = b"pockethive-tree1"
MAX_MANIFEST: Final = _HEAD.size + LEAF_SIZE * MAX_CHUNKS

Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Manifest:
    """A large blob's size in bytes and the hashes of its chunks, one after the other.

    Raises (on construction):
        BadEncoding: not a large blob's size, or not one hash a chunk.
    """

    size: int
    leaves: bytes

    def __post_init__(self) -> None:
        if not CHUNK < self.size <= MAX_BLOB:
            raise BadEncoding(f"a tree over {self.size} bytes", where=reasons.BLOB_MANIFEST)
        if len(self.leaves) != LEAF_SIZE * self.count:
            raise BadEncoding("not one hash for every chunk", where=reasons.BLOB_MANIFEST)

    @property
    def count(self) -> int:
        """How many chunks there are."""
        return count_of(self.size)

    @property
    def name(self) -> str:
        """The blob's name: hex BLAKE2b-256 over size and root."""
        text = self.size.to_bytes(8, "big") + _root(self.leaves)
        return hashlib.blake2b(text, digest_size=32, person=_PERSON).hexdigest()

    def encode(self) -> bytes:
        """version 1 | size 8 | hashes 32 each."""
        return _HEAD.pack(_VERSION, self.size) + self.leaves

    @classmethod
    def decode(cls, name: str, data: Bytes) -> "Manifest":
        """The manifest of the blob called `name`.

        Raises:
            BadEncoding: malformed, of another version, or another blob's.
        """
        if not _HEAD.size < len(data) <= MAX_MANIFEST or data[0] != _VERSION:
            raise BadEncoding("not a manifest of version 1", where=reasons.BLOB_MANIFEST)
        _, size = _HEAD.unpack_from(data)
        manifest = cls(size, bytes(data[_HEAD.size :]))
        if manifest.name != name:
            raise BadEncoding("the manifest is another blob's", where=reasons.BLOB_MANIFEST)
        return manifest

    def length(self, index: int) -> int:
        """Bytes of the chunk `index`."""
        return min(CHUNK, self.size - index * CHUNK)

    def check(self, index: int, chunk: Bytes) -> None:
        """Raises ProtocolError unless these are the bytes of chunk `index`."""
        start = index * LEAF_SIZE
        if len(chunk) != self.length(index) or leaf(chunk) != self.leaves[start:][:LEAF_SIZE]:
            raise ProtocolError(
                f"other bytes than chunk {index} of the blob", where=reasons.BLOB_BYTES
            )


def leaf(chunk: Bytes) -> bytes:
    """The hash of one chunk in a tree."""
    state = hashlib.sha256(b"\x00")
    state.update(chunk)
    return state.digest()


def name_of(data: Bytes) -> str:
    """The name of a blob of these bytes."""
    if len(data) <= CHUNK:
        return hashlib.sha256(data).hexdigest()
    view = memoryview(data)
    leaves = (leaf(view[start : start + CHUNK]) for start in range(0, len(data), CHUNK))
    return Manifest(len(data), b"".join(leaves)).name


def check_small(name: str, data: Bytes) -> None:
    """Raises ProtocolError unless these are the bytes of a blob of one chunk."""
    if len(data) > CHUNK or hashlib.sha256(data).hexdigest() != name:
        raise ProtocolError("other bytes than the blob's", where=reasons.BLOB_BYTES)


def count_of(size: int) -> int:
    """Chunks of a blob of `size` bytes; an empty one has one."""
    return max(1, -(-size // CHUNK))


def check_name(name: str) -> str:
    """`name` if it is 64 hex digits. Raises BadEncoding."""
    if not is_name(name):
        raise BadEncoding(f"not the name of a blob: {name[:80]!r}")
    return name


def is_name(name: str) -> bool:
    return len(name) == 64 and all(letter in "0123456789abcdef" for letter in name)


def _root(leaves: bytes) -> bytes:
    """Level by level; an odd last node moves up as it is, which is RFC 6962's shape."""
    level = [leaves[i : i + LEAF_SIZE] for i in range(0, len(leaves), LEAF_SIZE)]
    while len(level) > 1:
        above = [
            hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest()
            for i in range(0, len(level) - 1, 2)
        ]
        level = above + level[len(level) - len(level) % 2 :]
    return level[0]
