"""What a node keeps: records that merge by a join, and the durable cells of a witness. SQLite.

Guards: storing is order-free, idempotent and bounded, so replicas that saw the same records agree.
A place (kind, author, slot) keeps one body; a second body of the same author is evidence of
cheating and is kept beside it. Expiry is the author's and final: no republishing prolongs it. A
cell is on the disk before its reply leaves.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import umsgpack
from kademlia.storage import IStorage

from pockethive.core.canonical import digest
from pockethive.core.errors import ProtocolError, StorageError
from pockethive.dht.database import open_database, refusal
from pockethive.dht.record import Record
from pockethive.dht.rules import Rules

BODIES_PER_PLACE = 2
CLOCK_SLACK = 60.0  # seconds that an author's clock may be ahead of ours
MAX_CELL = 64 * 1024
MAX_CELL_KEY = 64

_RECORDS_VERSION = 1
_CELLS_VERSION = 1
_RECORDS = """
CREATE TABLE records (
  key BLOB, kind TEXT, author BLOB, slot BLOB, digest BLOB,
  expires INTEGER, touched REAL, data BLOB,
  PRIMARY KEY (key, kind, author, slot, digest)
) WITHOUT ROWID;
CREATE INDEX by_expiry ON records (expires);
CREATE INDEX by_touch ON records (touched);
"""
_CELLS = """
CREATE TABLE cells (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
"""


class RecordStore(IStorage):  # type: ignore[misc]  # kademlia ships no types
    """Records by 20-byte key. One thread. It has no `__len__`: kademlia drops empty storages.

    As kademlia's IStorage its values are `pack`ed records; setting a value joins it.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        path: Path | None = None,
        clock: Callable[[], float] = time.time,
        max_records: int = 100_000,
        max_bytes: int = 128 * 2**20,
    ) -> None:
        self._rules, self._clock = rules, clock
        self._max_records, self._max_bytes = max_records, max_bytes
        self._db = open_database(path, _RECORDS, _RECORDS_VERSION, synchronous="NORMAL")
        row = self._db.execute("SELECT count(*), coalesce(sum(length(data)), 0) FROM records")
        self.count, self.bytes = row.fetchone()

    def close(self) -> None:
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
        record.verify()
        self._rules.check(record, now)

    def join(self, records: Iterable[Record]) -> int:
        """Merge records, skipping those that may not be stored; how many are held now."""
        held = 0
        with self._writing():
            for record in records:
                try:
                    held += self._join(record)
                except ProtocolError:
                    continue
            self._trim()
        return held

    def add(self, record: Record) -> bool:
        """Merge one record; is it held now?

        Raises:
            ProtocolError: it may not be stored.
            StorageError: the disk refuses.
        """
        with self._writing():
            held = self._join(record)
            self._trim()
        return held

    def live(self, key: bytes) -> tuple[Record, ...]:
        """Unexpired records under a key, best rank first."""
        rows = self._db.execute(
            "SELECT data FROM records WHERE key = ? AND expires > ?"
            " ORDER BY expires DESC, digest DESC",
            (key, self._clock()),
        )
        return tuple(Record.decode(data) for (data,) in rows)

    def live_bytes(self, key: bytes) -> list[tuple[bytes, bytes]]:
        """(digest, encoded record) of the same records: what travels, without decoding it."""
        return self._db.execute(
            "SELECT digest, data FROM records WHERE key = ? AND expires > ?"
            " ORDER BY expires DESC, digest DESC",
            (key, self._clock()),
        ).fetchall()

    def older_than(self, seconds: float, limit: int) -> list[Record]:
        """Live records that nobody stored here for so long, oldest first."""
        now = self._clock()
        rows = self._db.execute(
            "SELECT data FROM records WHERE touched <= ? AND expires > ? ORDER BY touched LIMIT ?",
            (now - seconds, now, limit),
        )
        return [Record.decode(data) for (data,) in rows]

    def touch(self, record: Record) -> None:
        """Note that a record was just stored at its holders."""
        with self._writing():
            self._touch(record)

    def sweep(self) -> int:
        """Delete expired records; how many."""
        with self._writing():
            return self._drop("expires <= ?", (self._clock(),))

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
        keys = self._db.execute(
            "SELECT DISTINCT key FROM records WHERE expires > ?", (self._clock(),)
        ).fetchall()
        return iter([(key, self[key]) for (key,) in keys])

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction: all or nothing, in the counts too."""
        before = self.count, self.bytes
        try:
            with self._db:
                yield
        except BaseException as error:
            self.count, self.bytes = before
            if isinstance(error, sqlite3.Error):
                raise refusal(error) from error
            raise

    def _touch(self, record: Record) -> None:
        self._db.execute(
            "UPDATE records SET touched = ? WHERE key = ? AND kind = ? AND author = ?"
            " AND slot = ? AND digest = ?",
            (self._clock(), record.key, *record.place, record.digest),
        )

    def _join(self, record: Record) -> bool:
        now, name = self._clock(), (record.key, *record.place)
        rows = self._db.execute(
            "SELECT expires, digest, data FROM records"
            " WHERE key = ? AND kind = ? AND author = ? AND slot = ?",
            name,
        ).fetchall()
        if any(held == record.digest for _, held, _ in rows):
            self._touch(record)
            return True
        self.admit(record)
        rivals = [Record.decode(data) for _, _, data in rows]
        kept = _best([*rivals, record])
        if record not in kept:
            return False
        for loser in rivals:
            if loser not in kept:
                self._drop(
                    "key = ? AND kind = ? AND author = ? AND slot = ? AND digest = ?",
                    (*name, loser.digest),
                )
        data = record.encode()
        self._db.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*name, record.digest, record.expires, now, data),
        )
        self.count, self.bytes = self.count + 1, self.bytes + len(data)
        return self._bound_places(record, now)

    def _bound_places(self, record: Record, now: float) -> bool:
        """Keep `max_slots` places of a kind under a key; is this record's place one of them?

        They rank by a hash of their names, which all replicas know whatever else they have seen:
        a rank by content would make the outcome depend on the order of arrivals.
        """
        places = self._db.execute(
            "SELECT DISTINCT author, slot FROM records WHERE key = ? AND kind = ? AND expires > ?",
            (record.key, record.kind, now),
        ).fetchall()
        surplus = len(places) - self._rules.limit(record.kind).max_slots
        if surplus <= 0:
            return True
        places.sort(key=lambda place: digest("place", record.key, *place))
        for author, slot in places[-surplus:]:
            self._drop(
                "key = ? AND kind = ? AND author = ? AND slot = ?",
                (record.key, record.kind, author, slot),
            )
        return (record.author, record.slot) in places[:-surplus]

    def _trim(self) -> None:
        """Hold the quota: what expires soonest goes first."""
        if self.count <= self._max_records and self.bytes <= self._max_bytes:
            return
        self._drop("expires <= ?", (self._clock(),))
        while self.count > self._max_records or self.bytes > self._max_bytes:
            dropped = self._drop(
                "(key, kind, author, slot, digest) IN (SELECT key, kind, author, slot, digest"
                " FROM records ORDER BY expires, digest LIMIT ?)",
                (max(1, self.count - self._max_records),),
            )
            if not dropped:
                return

    def _drop(self, where: str, values: tuple[object, ...]) -> int:
        rows = self._db.execute(
            f"DELETE FROM records WHERE {where} RETURNING length(data)",  # noqa: S608 - our own text
            values,
        ).fetchall()
        self.count -= len(rows)
        self.bytes -= sum(size for (size,) in rows)
        return len(rows)


class CellStore:
    """A witness's cells: durable before they are told. One thread at a time.

    `born` is the wall time at which this database was made: a witness that lost its database knows
    since when it remembers.
    """

    def __init__(
        self,
        path: Path | None = None,
        clock: Callable[[], float] = time.time,
        max_cells: int = 100_000,
    ) -> None:
        self._max_cells = max_cells
        self._db = open_database(path, _CELLS, _CELLS_VERSION, synchronous="FULL")
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO meta VALUES ('born', ?)", (clock(),))
        self.born: float = self._db.execute("SELECT value FROM meta").fetchone()[0]
        self._count: int = self._db.execute("SELECT count(*) FROM cells").fetchone()[0]

    def close(self) -> None:
        self._db.close()

    def get(self, key: bytes) -> bytes | None:
        row = self._db.execute("SELECT value FROM cells WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def compare_and_set(self, key: bytes, old: bytes | None, new: bytes | None) -> bool:
        """Write `new` (None removes the cell) if the cell still is `old`; on the disk on return.

        Raises:
            StorageError: over a bound, or the disk refuses.
        """
        with self.transaction():
            if self.get(key) != old:
                return False
            self.put(key, old, new)
        return True

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """What is put inside is committed at once, or not at all."""
        count = self._count
        try:
            with self._db:
                yield
        except BaseException as error:
            self._count = count
            if isinstance(error, sqlite3.Error):
                raise refusal(error) from error
            raise

    def put(self, key: bytes, old: bytes | None, new: bytes | None) -> None:
        """Inside `transaction`: replace what `get` returned."""
        if new == old:
            return
        if len(key) > MAX_CELL_KEY or (new is not None and len(new) > MAX_CELL):
            raise StorageError("a cell over its bound", where="witness")
        if new is None:
            self._db.execute("DELETE FROM cells WHERE key = ?", (key,))
        else:
            if old is None and self._count >= self._max_cells:
                raise StorageError(f"all {self._max_cells} cells are taken", where="witness")
            self._db.execute("INSERT OR REPLACE INTO cells VALUES (?, ?)", (key, new))
        self._count += (new is not None) - (old is not None)


def unpack(value: bytes) -> list[Record]:
    """Records behind `RecordStore.get`. Raises BadEncoding."""
    return [Record.decode(data) for data in umsgpack.unpackb(value)]


def merge(records: Iterable[Record]) -> tuple[Record, ...]:
    """Join records of one key in memory, as a store would; best rank first."""
    places: dict[tuple[str, bytes, bytes], list[Record]] = {}
    for record in records:
        places.setdefault(record.place, []).append(record)
    kept = [record for rivals in places.values() for record in _best(rivals)]
    return tuple(sorted(kept, key=lambda record: record.rank, reverse=True))


def _best(records: list[Record]) -> list[Record]:
    """Per body its longest-lived record, then the best ranked bodies: a join of sets."""
    bodies: dict[bytes, Record] = {}
    for record in records:
        if record.body not in bodies or record.rank > bodies[record.body].rank:
            bodies[record.body] = record
    return sorted(bodies.values(), key=lambda record: record.rank, reverse=True)[:BODIES_PER_PLACE]
