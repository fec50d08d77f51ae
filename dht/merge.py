"""Joining records of one key: which of them stay. Pure.

Guards: the join is order-free and idempotent, in a store as in a reader's memory.
"""

from collections.abc import Iterable

from pockethive.dht.record import Record

BODIES_PER_PLACE = 2


def merge(records: Iterable[Record]) -> tuple[Record, ...]:
    """Join records of one key in memory, as a store would; best rank first."""
    places: dict[tuple[str, bytes, bytes], list[Record]] = {}
    for record in records:
        places.setdefault(record.place, []).append(record)
    kept = [record for rivals in places.values() for record in best(rivals)]
    return tuple(sorted(kept, key=lambda record: record.rank, reverse=True))


def best(records: list[Record]) -> list[Record]:
    """A tombstone alone, else per body its longest-lived record, the best ranked bodies."""
    if any(record.tombstone for record in records):
        return [max(records, key=lambda record: record.rank)]
    bodies: dict[bytes, Record] = {}
    for record in records:
        if record.body not in bodies or record.rank > bodies[record.body].rank:
            bodies[record.body] = record
    return sorted(bodies.values(), key=lambda record: record.rank, reverse=True)[:BODIES_PER_PLACE]


def outranks(record: Record, rivals: Iterable[Record]) -> bool:
    """Whether a record is better than all of these; also when there are none."""
    return all(record.rank > rival.rank for rival in rivals)
