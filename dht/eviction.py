"""What a store gives up: which records when it is full, which places when a key has too many.

Guards: the decisions are pure. A full store loses first what others hold better than it does; one
author fills no more than his share of it, and nobody's places under a key are pushed out by an
author who invents more places.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from pockethive.core.canonical import digest

SHARE: Final = 4  # one author holds at most a quarter of a store
FARTHEST: Final = 2**160

Place = tuple[bytes, bytes]
"""Author and slot, under one key and of one kind."""

Name = tuple[bytes, str, bytes, bytes, bytes]
"""Key, kind, author, slot and digest of a record."""


@dataclass(slots=True)
class Usage:
    """How many records and how many bytes there are, in all and of each author."""

    records: int = 0
    size: int = 0
    authors: dict[bytes, tuple[int, int]] = field(default_factory=dict)

    def count(self, author: bytes, records: int, size: int) -> None:
        """Add records and bytes of an author; negative ones when they go."""
        self.records += records
        self.size += size
        had = self.authors.get(author, (0, 0))
        left = had[0] + records, had[1] + size
        if left[0]:
            self.authors[author] = left
        else:
            self.authors.pop(author, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Bounds of a store. Its own device's records count as everybody's, but have no share."""

    records: int
    size: int

    def excess(self, usage: Usage) -> tuple[int, int]:
        """Records and bytes over the quota; not positive where there is room."""
        return usage.records - self.records, usage.size - self.size

    def excess_of(self, author: bytes, usage: Usage) -> tuple[int, int]:
        """The same over one author's share."""
        records, size = usage.authors.get(author, (0, 0))
        return records - max(1, self.records // SHARE), size - self.size // SHARE


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that might go. `distance`: by XOR from the node's id; `mine`: by its own device."""

    name: Name
    expires: int
    distance: int
    size: int
    mine: bool


def usefulness(one: Candidate, radius: int, now: float) -> tuple[int, int, int, bytes]:
    """The order in which records go, smallest first.

    Expired ones; then those beyond `radius`, for which k other nodes are nearer, the farthest
    first; then what expires soonest. What this device wrote itself goes last. Digests break ties.
    """
    tie = one.name[-1]
    if one.expires <= now:
        return 0, 0, one.expires, tie
    if one.mine:
        return 3, 0, one.expires, tie
    if one.distance > radius:
        return 1, -one.distance, one.expires, tie
    return 2, 0, one.expires, tie


def victims(
    candidates: Iterable[Candidate], excess: tuple[int, int], radius: int, now: float
) -> list[Candidate]:
    """The least useful candidates whose loss ends an excess of records and bytes."""
    records, size = excess
    chosen: list[Candidate] = []
    for one in sorted(candidates, key=lambda one: usefulness(one, radius, now)):
        if records <= 0 and size <= 0:
            break
        chosen.append(one)
        records, size = records - 1, size - one.size
    return chosen


def kept_places(
    key: bytes,
    places: Iterable[Place],
    bounds: tuple[int, int],
    rank: Callable[[bytes], int],
) -> set[Place]:
    """The places of a kind that stay under a key, at most `bounds` (per author, in all).

    First by the rank of the author, then everybody's first place before anybody's second, then by
    a hash of the names. An author's places are ordered by the same hash. All of this is known to
    every replica whatever else it has seen, so the outcome does not depend on the order of
    arrivals; and an author who grinds slots competes with himself.
    """
    own, total = bounds
    authors: dict[bytes, list[tuple[bytes, Place]]] = {}
    for place in places:
        authors.setdefault(place[0], []).append((digest("place", key, *place), place))
    order = [
        (rank(author), turn, name, place)
        for author, named in authors.items()
        for turn, (name, place) in enumerate(sorted(named)[:own])
    ]
    return {place for *_, place in sorted(order)[:total]}


def distance(key: bytes, node_id: bytes) -> bytes:
    """XOR of two 20-byte ids, as bytes that sort like the number."""
    number = int.from_bytes(key, "big") ^ int.from_bytes(node_id, "big")
    return number.to_bytes(len(node_id), "big")
