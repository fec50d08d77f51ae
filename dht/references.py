"""Who needs which blob: named references that keep blobs from being collected.

Guards: a blob that an owner holds is never evicted; an owner's change is seen whole or not at all,
also after a crash, because references live in the database that decides what goes.
"""

import sqlite3
import threading
from collections.abc import Iterable
from typing import Final

from pockethive.core.errors import StorageError
from pockethive.dht.chunks import check_name
from pockethive.dht.database import Database
from pockethive.dht.shared_database import transaction

MAX_OWNER: Final = 200
MAX_REFERENCES: Final = 200_000

SCHEMA: Final = """
CREATE TABLE pins (
  owner TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (owner, name)
) WITHOUT ROWID;
CREATE INDEX pins_by_name ON pins (name);
"""


class References:
    """Owners (a run, a model bundle: any text) and the blobs they need. Any thread."""

    def __init__(self, db: Database, lock: threading.Lock) -> None:
        self._db, self._lock = db, lock

    def hold(self, owner: str, names: Iterable[str]) -> None:
        """Add to what an owner needs. The blobs may come later: hold first, then fetch.

        Raises:
            BadEncoding: not a blob's name.
            StorageError: too many references, or the disk refuses.
        """
        if not 0 < len(owner) <= MAX_OWNER:
            raise StorageError(f"an owner of references has 1 to {MAX_OWNER} letters")
        rows = [(owner, check_name(name)) for name in names]
        with self._lock:
            self._insert(rows)

    def release(self, owner: str, names: Iterable[str] | None = None) -> None:
        """Take from what an owner needs; everything when no names are given."""
        try:
            with self._lock, transaction(self._db):
                if names is None:
                    self._db.execute("DELETE FROM pins WHERE owner = ?", (owner,))
                else:
                    rows = ((owner, name) for name in names)
                    self._db.executemany("DELETE FROM pins WHERE owner = ? AND name = ?", rows)
        except sqlite3.Error as error:
            raise self._db.refusal(error) from error

    def names(self, owner: str) -> frozenset[str]:
        """What an owner needs."""
        return self._column("SELECT name FROM pins WHERE owner = ?", owner)

    def owners(self, name: str) -> frozenset[str]:
        """Who needs a blob."""
        return self._column("SELECT owner FROM pins WHERE name = ?", name)

    def _insert(self, rows: list[tuple[str, str]]) -> None:
        try:
            with transaction(self._db):
                self._db.executemany("INSERT OR IGNORE INTO pins VALUES (?, ?)", rows)
                count = self._db.execute("SELECT count(*) FROM pins").fetchone()[0]
                if count > MAX_REFERENCES:
                    raise StorageError(
                        f"more than {MAX_REFERENCES} references to blobs",
                        cure="release what has ended",
                    )
        except sqlite3.Error as error:
            raise self._db.refusal(error) from error

    def _column(self, query: str, value: str) -> frozenset[str]:
        with self._lock:
            return frozenset(row[0] for row in self._db.execute(query, (value,)))
