"""The index of a blob store: its tables, and what is taken over from an older or damaged one.

A small blob's bytes are in it: they come and go in one step with its name. Guards: an index of a
later version is refused and left as it is.
"""

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Final

from pockethive.dht.chunks import CHUNK
from pockethive.dht.database import Database, open_database
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


def open_index(folder: Path | None) -> Database:
    """The index in a blob store's folder, or one in memory. Raises StorageError."""
    path = folder and folder / "index.sqlite"
    return open_database(path, _SCHEMA, _VERSION, synchronous="NORMAL", save=_save)


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
