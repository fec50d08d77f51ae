"""Merkle trees over salted leaves: one signed root vouches for every passage of a document.

Shapes as in RFC 9162, section 2.1 (a tree of `size` leaves splits at the largest power of two below
`size`); hashes are `canonical.digest` with a domain each for leaves and nodes, so that no node can
pass for a leaf. Rule guarded here: a path shows one leaf and hides the others; because every leaf
is salted, a reader of the path cannot test guesses about its neighbours.
"""

from collections.abc import Iterator, Sequence

from pockethive.core.canonical import digest

SALT_SIZE = 16
HASH_SIZE = 32
MAX_PATH = 32  # a tree of 2^32 leaves; longer paths are refused before any hashing


def leaf(salt: bytes, data: bytes) -> bytes:
    """The hash of one salted leaf (32 bytes)."""
    return digest("merkle leaf", salt, data)


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; the empty tree has a root of its own."""
    if not leaves:
        return digest("merkle empty")
    level = list(leaves)
    while len(level) > 1:
        level = list(_parents(level))
    return level[0]


def path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Sibling hashes from leaf `index` up to the root.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    level, siblings = list(leaves), []
    while len(level) > 1:
        other = index ^ 1
        if other < len(level):
            siblings.append(level[other])
        level, index = list(_parents(level)), index // 2
    return tuple(siblings)


def implied_root(start: bytes, index: int, size: int, siblings: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to, or None when the path does not fit `index` and `size`."""
    if not 0 <= index < size or len(siblings) > MAX_PATH:
        return None
    node, rest = start, list(siblings)
    while size > 1:
        if index ^ 1 < size:
            if not rest:
                return None
            other = rest.pop(0)
            node = _node(other, node) if index % 2 else _node(node, other)
        index, size = index // 2, (size + 1) // 2
    return None if rest else node


def _parents(level: Sequence[bytes]) -> Iterator[bytes]:
    for i in range(0, len(level), 2):
        yield _node(level[i], level[i + 1]) if i + 1 < len(level) else level[i]


def _node(left: bytes, right: bytes) -> bytes:
    return digest("merkle node", left, right)
