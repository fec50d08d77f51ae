"""The index of a blob store: its tables, and what is taken over from an older or damaged one.

A small blob's bytes are in it: they come and go in one step with its name. Guards: an index of a
later version is refused and left as it is.
"""

import contextlib
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pockethive.dht.audience import Audience
from pockethive.dht.chunks import CHUNK
from pockethive.dht.database import Database, open_database
from pockethive.dht.identity import PUBLIC_SIZE
from pockethive.dht.references import SCHEMA as PINS

SMALL: Final = 1_024
"""Bytes up to which a blob is kept in the index: a file of its own costs ten times as much."""

_VERSION = 3
_TABLES = """
CREATE TABLE blobs (
  name TEXT PRIMARY KEY, size INTEGER NOT NULL, public INTEGER NOT NULL, devices BLOB NOT NULL,
  used REAL NOT NULL, leaves BLOB NOT NULL, data BLOB NOT NULL
);
CREATE INDEX blobs_by_use ON blobs (used);
CREATE TABLE partials (
  name TEXT PRIMARY KEY, size INTEGER NOT NULL, used REAL NOT NULL, leaves BLOB NOT NULL
);
"""
_SCHEMA = _TABLES + PINS
_V1 = (
    "SELECT hash, size, public, devices, {now}, x'', x'' FROM blobs WHERE size <= {chunk}",
    "blobs",
)
_V2 = ("SELECT name, size, public, devices, used, leaves, x'' FROM blobs", "blobs")
_LATER = (
    ("SELECT name, size, public, devices, used, leaves, data FROM blobs", "blobs"),
    ("SELECT name, size, used, leaves FROM partials", "partials"),
    ("SELECT owner, name FROM pins", "pins"),
)
INSERT: Final = "INSERT INTO blobs VALUES (?, ?, ?, ?, ?, ?, ?)"
_ADD: Final = "INSERT OR IGNORE INTO blobs VALUES (?, ?, ?, ?, ?, ?, ?)"
_FIND: Final = "SELECT size, public, devices, used FROM blobs WHERE name = ?"
_NAMES: Final = (
    "SELECT name FROM blobs WHERE name = ?1 UNION ALL SELECT name FROM partials WHERE name = ?1"
)
DATA: Final = "SELECT data FROM blobs WHERE name = ?"
UNUSED: Final = """
SELECT name, size, used FROM blobs WHERE used < ?1 AND name NOT IN (SELECT name FROM pins)
UNION ALL
SELECT name, size, used FROM partials WHERE used < ?1 AND name NOT IN (SELECT name FROM pins)
ORDER BY used, name
"""
"""`?1` is unix seconds: what nobody refers to or has used since then, least recently used first."""

USED: Final = """
SELECT coalesce(sum(size), 0)
FROM (SELECT size FROM blobs UNION ALL SELECT size FROM partials)
"""
"""Bytes of all that has a name."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the index says of a blob. `used`: unix seconds."""

    size: int
    audience: Audience
    used: float


def find(db: Database, name: str) -> Row | None:
    """A blob's row. Raises sqlite3.Error."""
    row = db.execute(_FIND, (name,)).fetchone()
    if row is None:
        return None
    keys = (row[2][i : i + PUBLIC_SIZE] for i in range(0, len(row[2]), PUBLIC_SIZE))
    return Row(row[0], Audience(public=bool(row[1]), devices=frozenset(keys)), row[3])


def names(db: Database, name: str) -> bool:
    """Whether a blob or a partial has this name. Raises sqlite3.Error."""
    return db.execute(_NAMES, (name,)).fetchone() is not None


def usage(db: Database) -> tuple[int, int]:
    """How many blobs there are, and their bytes. Raises sqlite3.Error."""
    row = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM blobs").fetchone()
    return row[0], row[1]


def add_small(db: Database, name: str, data: bytes, audience: Audience, now: float) -> bool:
    """Name a blob and keep its bytes in the index, unless it is there. Raises sqlite3.Error."""
    devices = b"".join(sorted(audience.devices))
    row = (name, len(data), audience.public, devices, now, b"", data)
    return db.execute(_ADD, row).rowcount == 1


def open_index(folder: Path | None) -> Database:
    """The index in a blob store's folder, or one in memory. Raises StorageError.

    A statement is a transaction, unless one was begun.
    """
    path = folder and folder / "index.sqlite"
    db = open_database(path, _SCHEMA, _VERSION, synchronous="NORMAL", save=_save)
    db.isolation_level = None
    return db


def _save(old: sqlite3.Connection | None, new: sqlite3.Connection) -> str:
    """What an older or a damaged index still says. Files that it does not name wait for `gc`.

    Version 1 named blobs of more than a chunk by the SHA-256 of all bytes; nobody asks for such a
    name any more, so they are left out.
    """
    if old is not None:
        with contextlib.suppress(sqlite3.Error):
            version = old.execute("PRAGMA user_version").fetchone()[0]
            if version <= 2:
                query, table = _V1 if version == 1 else _V2
                _copy(old, new, query.format(now=int(time.time()), chunk=CHUNK), table)
        for query, table in _LATER:
            _copy(old, new, query, table)
            _copy(old, new, f"{query} ORDER BY 1 DESC", table)
    kept = new.execute("SELECT count(*) FROM blobs").fetchone()[0]
    return f"{kept} blobs were taken over"


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, query: str, table: str) -> None:
    """As many rows as can be read, from one end."""
    with contextlib.suppress(sqlite3.Error):
        for row in old.execute(query):
            marks = ", ".join("?" * len(row))
            with contextlib.suppress(sqlite3.Error), new:
                new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608
