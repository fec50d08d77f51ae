"""What a node keeps for others and itself: records that merge by a join. SQLite.

Guards: storing is order-free, idempotent and bounded, so replicas that saw the same records agree.
A place (kind, author, slot) keeps one body; a second body of the same author is evidence of
cheating and is kept beside it. Expiry is the author's and final: no republishing prolongs it. A
tombstone empties its place, and is remembered, unseen, until everything that it buried has expired.
"""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import umsgpack
from kademlia.storage import IStorage

from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.dht.database import Database, open_database
from pockethive.dht.eviction import (
    FARTHEST,
    Candidate,
    Quota,
    Usage,
    distance,
    kept_places,
    victims,
)
from pockethive.dht.identity import NODE_ID_SIZE, node_id
from pockethive.dht.memory import Memory
from pockethive.dht.merge import best, outranks
from pockethive.dht.record import Record
from pockethive.dht.rules import Rules
from pockethive.dht.salvage import readable_records

log = logging.getLogger(__name__)

CLOCK_SLACK = 60.0  # seconds that an author's clock may be ahead of ours

_RECORDS_VERSION = 3
# A table with row ids: each index names a row by its number instead of its five names.
# `until` is when the last trace of a record may go: for a tombstone later than it `expires`.
_RECORDS = """
CREATE TABLE records (
  key BLOB, kind TEXT, author BLOB, slot BLOB, digest BLOB, expires INTEGER, until INTEGER,
  distance BLOB, mine INTEGER, touched REAL, data BLOB,
  PRIMARY KEY (key, kind, author, slot, digest)
);
CREATE INDEX by_expiry ON records (mine, expires, digest);
CREATE INDEX by_distance ON records (mine, distance DESC, expires, digest);
CREATE INDEX by_author ON records (author, expires, digest);
CREATE INDEX by_touch ON records (touched);
"""
_PLACE = "key = ? AND kind = ? AND author = ? AND slot = ?"
# ruff: noqa: S608 - every piece of SQL is this file's own text
_BEST_FIRST = "ORDER BY until > expires DESC, expires DESC, digest DESC"
_LIVE = (
    "SELECT data FROM records WHERE key = ? AND kind = coalesce(?, kind) AND expires > ?"
    f" {_BEST_FIRST}"
)
_LIVE_BYTES = f"SELECT digest, data FROM records WHERE key = ? AND expires > ? {_BEST_FIRST}"
_HAS = "SELECT 1 FROM records WHERE key = ? AND substr(digest, 1, 16) = ? AND expires > ? LIMIT 1"
_RIVALS = f"SELECT digest, expires, until, data FROM records WHERE {_PLACE}"
_BESIDE = "SELECT 1 FROM records WHERE key = ? AND kind = ? LIMIT ?"
_KEYS = "SELECT DISTINCT key FROM records WHERE key BETWEEN ? AND ? AND expires > ?"
_UNTOUCHED = "SELECT data FROM records WHERE touched <= ? AND expires > ? ORDER BY touched LIMIT ?"
_TOUCH_NAMED = "UPDATE records SET touched = ? WHERE key = ? AND instr(?, substr(digest, 1, 16))"
_DROP = "DELETE FROM records WHERE {} RETURNING author, length(data)"
_NAME = "key, kind, author, slot, digest"
_CANDIDATES = f"SELECT {_NAME}, expires, distance, length(data), mine FROM records"
_Query = tuple[str, tuple[object, ...]]
_SORTS: list[_Query] = [
    ("WHERE mine = 0 ORDER BY distance DESC, expires, digest", ()),
    ("WHERE mine = 0 ORDER BY expires, digest", ()),
    ("WHERE mine = 1 ORDER BY expires, digest", ()),
]
_read: Memory[Record] = Memory(512)
_HEADS = 64  # candidates of each sort that one round of trimming looks at


class RecordStore(IStorage):  # type: ignore[misc]  # kademlia ships no types
    """Records by 20-byte key. One thread. It has no `__len__`: kademlia drops empty storages.

    As kademlia's IStorage its values are `pack`ed records; setting a value joins it.
    `own` is this device's public key: what it wrote stays longest, and what lies within `radius` of
    its node id (asked when the store is full) stays longer than what is farther.
    """

    def __init__(  # noqa: PLR0913 - all but the rules have defaults
        self,
        rules: Rules,
        *,
        path: Path | None = None,
        clock: Callable[[], float] = time.time,
        max_records: int = 100_000,
        max_bytes: int = 128 * 2**20,
        own: bytes = b"",
    ) -> None:
        self._rules, self._clock = rules, clock
        self._quota = Quota(records=max_records, size=max_bytes)
        self._own = own
        self._id = node_id(own) if own else bytes(NODE_ID_SIZE)
        self.radius: Callable[[], int] = lambda: FARTHEST
        self.arrived: Callable[[Record], None] = _unheard  # told of each record that is new here
        self._fresh: list[Record] = []
        self._usage, self.count, self.bytes = Usage(), 0, 0
        if path is None:
            return
        try:
            self._open(path)
        except sqlite3.Error as error:  # damage that only a full reading finds: examine and save
            log.warning("%s: %s", path, self._db.refusal(error).what)
            self._db.close()
            self._open(path)

    @cached_property
    def _db(self) -> Database:
        """In memory the first record makes it: most nodes of a large simulation never hold one."""
        return open_database(None, _RECORDS, _RECORDS_VERSION, synchronous="NORMAL")

    def close(self) -> None:
        if "_db" in vars(self):
            self._db.close()

    def admit(self, record: Record) -> None:
        """Raises ProtocolError unless this node may store the record now."""
        now = self._clock()
        limit = self._rules.limit(record.kind)
        if record.expires <= now:
            raise ProtocolError(f"the {record.kind} record has expired", where="expired")
        if record.expires > now + limit.max_ttl + CLOCK_SLACK:
            raise ProtocolError(f"a {record.kind} record lives {limit.max_ttl} s at most")
        if len(record.body) > limit.max_body:
            raise ProtocolError(f"a {record.kind} record has {limit.max_body} bytes at most")
        if record.tombstone and not limit.removable:
            raise ProtocolError(f"a {record.kind} record has a body for good", where="removal")
        record.verify()
        self._rules.check(record, now)

    def join(self, records: Iterable[Record]) -> int:
        """Merge records, skipping those that may not be stored; how many are held now."""
        held: list[Record] = []
        with self._writing():
            for record in records:
                try:
                    if self._join(record):
                        held.append(record)
                except ProtocolError:
                    continue
            gone = self._trim({record.author for record in held})
        return sum(record.digest not in gone for record in held)

    def add(self, record: Record) -> bool:
        """Merge one record; is it held now?

        Raises:
            ProtocolError: it may not be stored.
            StorageError: the disk refuses.
        """
        with self._writing():
            held = self._join(record)
            return held and record.digest not in self._trim({record.author})

    def live(self, key: bytes, kind: str | None = None) -> tuple[Record, ...]:
        """Unexpired records under a key (of one kind), tombstones among them, best rank first."""
        rows = self._rows(_LIVE, (key, kind, self._clock()))
        return tuple(_as_record(data) for (data,) in rows)

    def live_bytes(self, key: bytes) -> list[tuple[bytes, bytes]]:
        """(digest, encoded record) of the same records: what travels, without decoding it."""
        return self._rows(_LIVE_BYTES, (key, self._clock()))

    def has(self, key: bytes, digest: bytes) -> bool:
        """Whether a live record is here, by the first 16 bytes of its digest."""
        return bool(self._rows(_HAS, (key, digest, self._clock())))

    def older_than(self, seconds: float, limit: int) -> list[Record]:
        """Live records that nobody stored here for so long, oldest first."""
        now = self._clock()
        rows = self._rows(_UNTOUCHED, (now - seconds, now, limit))
        return [Record.decode(data) for (data,) in rows]

    def keys_between(self, low: bytes, high: bytes) -> list[bytes]:
        """Keys of live records from `low` to `high`, both included."""
        return [key for (key,) in self._rows(_KEYS, (low, high, self._clock()))]

    def touch_named(self, key: bytes, names: Iterable[bytes]) -> None:
        """Note that records were just offered to their holders; by the heads of their digests."""
        if self.count:
            with self._writing():
                self._db.execute(_TOUCH_NAMED, (self._clock(), key, b"".join(names)))

    def sweep(self) -> int:
        """Delete expired records, and tombstones that bury nothing any more; how many."""
        now = self._clock()
        if not self.count:
            return 0
        with self._writing():
            return len(self._drop("mine IN (0, 1) AND expires <= ? AND until <= ?", (now, now)))

    # kademlia's IStorage

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.join(record for record in unpack(value) if record.key == key)

    def __getitem__(self, key: bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def get(self, key: bytes, default: bytes | None = None) -> bytes | None:
        rows = self.live_bytes(key)
        return umsgpack.packb([data for _, data in rows]) if rows else default

    def iter_older_than(self, seconds_old: float) -> list[tuple[bytes, bytes]]:
        keys = dict.fromkeys(record.key for record in self.older_than(seconds_old, 1000))
        return [(key, self[key]) for key in keys]

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        keys = self.keys_between(bytes(20), b"\xff" * 20)
        return iter([(key, self[key]) for key in keys])

    def _rows(self, query: str, values: tuple[object, ...]) -> list[Any]:
        """What a query finds; where nothing is stored it need not be asked."""
        return self._db.execute(query, values).fetchall() if self.count else []

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction: all or nothing, in the counts too."""
        try:
            with self._db:
                yield
        except BaseException as error:
            self._recount()
            self._fresh.clear()
            if isinstance(error, sqlite3.Error):
                raise self._db.refusal(error) from error
            raise
        fresh, self._fresh = self._fresh, []
        for record in fresh:
            self.arrived(record)

    def _touch(self, record: Record) -> None:
        self._db.execute(
            "UPDATE records SET touched = ? WHERE key = ? AND kind = ? AND author = ?"
            " AND slot = ? AND digest = ?",
            (self._clock(), record.key, *record.place, record.digest),
        )

    def _join(self, record: Record) -> bool:
        now, name = self._clock(), (record.key, *record.place)
        few = min((limit := self._rules.limit(record.kind)).max_own, limit.max_slots)
        beside = self._db.execute(_BESIDE, (record.key, record.kind, few + 1)).fetchall()
        rows = self._db.execute(_RIVALS, name).fetchall() if beside else []
        if any(held == record.digest and expires > now for held, expires, _, _ in rows):
            self._touch(record)
            return True
        self.admit(record)
        self._rules.fits(record, lambda kind: self.live(record.key, kind))
        graves = [Record.decode(data) for _, expires, until, data in rows if until > expires]
        bodies = [Record.decode(data) for _, expires, until, data in rows if until == expires]
        if record.tombstone:
            losers = [*graves, *bodies] if outranks(record, graves) else [record]
        elif any(expires < until >= record.expires for _, expires, until, _ in rows):
            return False
        else:
            kept = best([*bodies, record]) if bodies else [record]
            losers = [rival for rival in (*bodies, record) if rival not in kept]
        if record in losers:
            return False
        for loser in losers:
            self._drop(f"{_PLACE} AND digest = ?", (*name, loser.digest))
        self._insert(record, now)
        return len(beside) < few or self._bound_places(record, now)

    def _insert(self, record: Record, touched: float) -> None:
        data, until = record.encode(), record.expires
        if record.tombstone:  # nothing that it buries lives longer: see `admit`
            until += self._rules.limit(record.kind).max_ttl + int(CLOCK_SLACK)
        self._db.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(record.key, *record.place, record.digest, record.expires, until),
                *(distance(record.key, self._id), record.author == self._own, touched, data),
            ),
        )
        self._counted(record.author, 1, len(data))
        self._fresh.append(record)
        _read.put(data, record)

    def _bound_places(self, record: Record, now: float) -> bool:
        """Keep `max_slots` places of a kind under a key; is this record's place one of them?"""
        places = self._db.execute(
            "SELECT DISTINCT author, slot FROM records WHERE key = ? AND kind = ? AND expires > ?",
            (record.key, record.kind, now),
        ).fetchall()
        limit = self._rules.limit(record.kind)
        by_author = sum(author == record.author for author, _ in places)
        if len(places) <= limit.max_slots and by_author <= limit.max_own:
            return True
        rank = self._rules.ranking(record.kind, lambda kind: self.live(record.key, kind))
        kept = kept_places(record.key, places, (limit.max_own, limit.max_slots), rank)
        for author, slot in places:
            if (author, slot) not in kept:
                self._drop(_PLACE, (record.key, record.kind, author, slot))
        return (record.author, record.slot) in kept

    def _trim(self, authors: Iterable[bytes]) -> set[bytes]:
        """Hold the quota, and the shares of these authors; digests of what went."""
        gone: set[bytes] = set()
        for author in authors:
            while max(excess := self._quota.excess_of(author, self._usage)) > 0:
                query = ("WHERE author = ? ORDER BY expires, digest", (author,))
                if author == self._own or not (went := self._evict([query], excess)):
                    break
                gone |= went
        while max(excess := self._quota.excess(self._usage)) > 0:
            if not (went := self._evict(_SORTS, excess)):
                break
            gone |= went
        return gone

    def _evict(self, queries: list[_Query], excess: tuple[int, int]) -> set[bytes]:
        """Drop the least useful of the first rows of some queries; their digests."""
        heads: dict[bytes, Candidate] = {}
        limit = min(_HEADS, max(excess[0], 1 if excess[1] <= 0 else _HEADS // 8))
        for where, values in queries:
            rows = self._db.execute(f"{_CANDIDATES} {where} LIMIT ?", (*values, limit))
            for *name, expires, far, size, mine in rows:
                place = int.from_bytes(far, "big")
                heads[name[-1]] = Candidate(tuple(name), expires, place, size, bool(mine))
        bound = min(excess[0], limit), excess[1]
        chosen = victims(heads.values(), bound, self.radius(), self._clock())[:limit]
        for one in chosen:
            self._drop(f"{_PLACE} AND digest = ?", one.name)
        return {one.name[-1] for one in chosen}

    def _drop(self, where: str, values: tuple[object, ...]) -> list[tuple[bytes, int]]:
        rows: list[tuple[bytes, int]] = self._db.execute(_DROP.format(where), values).fetchall()
        for author, size in rows:
            self._counted(author, -1, -size)
        return rows

    def _recount(self) -> None:
        self._usage, self.count, self.bytes = Usage(), 0, 0
        for author, size in self._db.execute("SELECT author, length(data) FROM records"):
            self._counted(author, 1, size)

    def _counted(self, author: bytes, records: int, size: int) -> None:
        self._usage.count(author, records, size)
        self.count, self.bytes = self._usage.records, self._usage.size

    def _open(self, path: Path) -> None:
        """Open and count; measure anew what another device's store measured."""
        self._db = open_database(
            path, _RECORDS, _RECORDS_VERSION, synchronous="NORMAL", save=self._save
        )
        row = self._db.execute("SELECT key, distance FROM records LIMIT 1").fetchone()
        if row is not None and row[1] != distance(row[0], self._id):
            self._db.create_function("far", 1, lambda key: distance(key, self._id))
            with self._db:
                self._db.execute(
                    "UPDATE records SET distance = far(key), mine = (author = ?)", (self._own,)
                )
        self._recount()

    def _save(self, old: sqlite3.Connection | None, new: sqlite3.Connection) -> str:
        """Take over what a damaged or older database still gives."""
        assert isinstance(new, Database)
        self._db = new
        found = [] if old is None else [*_decoded(readable_records(old))]
        return f"{self.join(found)} records were saved from it"


def _as_record(data: bytes) -> Record:
    """Who reads a task's records mostly reads them again: its dependants, its verifiers."""
    record = _read.get(data)
    if record is None:
        record = Record.decode(data)
        _read.put(data, record)
    return record


def _unheard(record: Record) -> None:
    """Nobody waits for arrivals."""


def unpack(value: bytes) -> list[Record]:
    """Records behind `RecordStore.get`. Raises BadEncoding."""
    return [Record.decode(data) for data in umsgpack.unpackb(value)]


def _decoded(wires: Iterable[bytes]) -> Iterator[Record]:
    for wire in wires:
        with contextlib.suppress(BadEncoding):
            yield Record.decode(wire)
