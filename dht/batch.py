"""Records signed together: one signature over the root of a Merkle tree, a path in each record.

A leaf is a record's digest under a domain of its own; the tree has the shape of RFC 9162 (section
2.1) for that many leaves; the author signs root and size. Guards: no inner node passes for a leaf,
a path fits one place in a tree of one size, and what is read is bounded: at most `MAX_BATCH`
leaves, so at most `MAX_PATH` bytes.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from pockethive.core.canonical import digest
from pockethive.dht.identity import verify

MAX_BATCH: Final = 256
HASH_SIZE: Final = 32
HEAD_SIZE: Final = 4  # place and size of the tree, two bytes each
MAX_PATH: Final = HEAD_SIZE + 8 * HASH_SIZE


def leaf(record: bytes) -> bytes:
    """The leaf of a record's digest, 32 bytes."""
    return digest("batch leaf", record)


def signed_bytes(root: bytes, size: int) -> bytes:
    """What the signature of a batch covers, 32 bytes."""
    return digest("batch", size.to_bytes(2, "big"), root)


def paths(leaves: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """The root over 1 to `MAX_BATCH` leaves, and each leaf's path as it stands in its record."""
    if not 0 < len(leaves) <= MAX_BATCH:
        raise ValueError(f"a batch has 1 to {MAX_BATCH} records, not {len(leaves)}")
    size = len(leaves).to_bytes(2, "big")
    found = [[place.to_bytes(2, "big"), size] for place in range(len(leaves))]
    level, places = list(leaves), [[place] for place in range(len(leaves))]
    while len(level) > 1:
        for index, below in enumerate(places):
            if index ^ 1 < len(level):
                for place in below:
                    found[place].append(level[index ^ 1])
        pairs = range(0, len(level), 2)
        level = [_node(*level[i : i + 2]) if i + 1 < len(level) else level[i] for i in pairs]
        places = [[place for below in places[i : i + 2] for place in below] for i in pairs]
    return level[0], [b"".join(parts) for parts in found]


def holds(author: bytes, record: bytes, path: bytes, signature: bytes) -> bool:
    """Whether `author` signed a batch in which the record of this digest has this path."""
    size = int.from_bytes(path[2:HEAD_SIZE], "big")
    root = implied_root(leaf(record), path)
    return root is not None and _signed(author, signed_bytes(root, size), signature)


def implied_root(start: bytes, path: bytes) -> bytes | None:
    """The root that a path leads to from a leaf; None for one that fits no tree."""
    rest = [path[i : i + HASH_SIZE] for i in range(HEAD_SIZE, len(path), HASH_SIZE)]
    index, size = int.from_bytes(path[:2], "big"), int.from_bytes(path[2:HEAD_SIZE], "big")
    if not 0 <= index < size <= MAX_BATCH or len(path) < HEAD_SIZE or len(path) > MAX_PATH:
        return None
    node = start
    for sibling in rest:
        while index ^ 1 >= size > 1:  # the last of an odd level goes up as it is
            index, size = index // 2, (size + 1) // 2
        if size == 1 or len(sibling) != HASH_SIZE:
            return None
        node = _node(sibling, node) if index % 2 else _node(node, sibling)
        index, size = index // 2, (size + 1) // 2
    while index ^ 1 >= size > 1:
        index, size = index // 2, (size + 1) // 2
    return node if size == 1 else None


def _node(left: bytes, right: bytes) -> bytes:
    return digest("batch node", left, right)


@lru_cache(maxsize=512)
def _signed(author: bytes, message: bytes, signature: bytes) -> bool:
    """The records of one batch come together: their signature is looked at once."""
    return verify(author, message, signature)
