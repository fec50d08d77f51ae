"""Work on node ids for open hives: S/Kademlia's static crypto puzzle (Baumgart and Mies 2007).

Guards: where anybody may join, a node id costs 2^bits key pairs, so nobody makes thousands of them
to sit around one key. The id stays a hash of the key; a second hash of it must begin with zeros.
"""

import secrets
from collections.abc import Callable
from functools import lru_cache

from pockethive.core.canonical import digest
from pockethive.dht.identity import Identity, node_id

MAX_BITS = 32  # beyond that a device would search for days


def solved(public: bytes, bits: int) -> bool:
    """Whether the node id of a key has the work: `bits` leading zeros in its hash."""
    return bits <= 0 or _zeros(public) >= bits


def work(bits: int, randbytes: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
    """A seed whose key has the work. About 2^bits tries of some 50 microseconds.

    Raises:
        ValueError: more bits than anybody waits for.
    """
    if not 0 <= bits <= MAX_BITS:
        raise ValueError(f"a puzzle of {bits} bits; 0 to {MAX_BITS} can be solved")
    while True:
        seed = randbytes(32)
        if bits == 0 or 256 - _hash(Identity(seed).public).bit_length() >= bits:
            return seed


@lru_cache(maxsize=16_384)
def _zeros(public: bytes) -> int:
    return 256 - _hash(public).bit_length()


def _hash(public: bytes) -> int:
    return int.from_bytes(digest("node-puzzle", node_id(public))[:32], "big")
