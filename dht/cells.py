"""The durable cells of a witness: what it promised, on the disk before any answer leaves. SQLite.

Guards: compare and set, all or nothing. A witness that lost or damaged its cells knows since when
it remembers, and never goes on with half a memory.
"""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from pockethive.core.errors import StorageError
from pockethive.dht.database import Database, open_database

log = logging.getLogger(__name__)

MAX_CELL = 64 * 1024
MAX_CELL_KEY = 64

_CELLS_VERSION = 1
_CELLS = """
CREATE TABLE cells (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
"""


class CellStore:
    """A witness's cells: durable before they are told. One thread at a time.

    `born` is the wall time at which this database was made: a witness that lost its database knows
    since when it remembers. A damaged database counts as lost: half a memory may lack the very
    promise that matters.
    """

    def __init__(
        self,
        path: Path | None = None,
        clock: Callable[[], float] = time.time,
        max_cells: int = 100_000,
    ) -> None:
        self._max_cells = max_cells
        self.born, self.count = clock(), 0
        if path is None:
            return
        try:
            self._open(path, clock())
        except sqlite3.Error as error:  # damage that only reading finds: examine, begin anew
            log.warning("%s: %s", path, self._db.refusal(error).what)
            self._db.close()
            self._open(path, clock())

    @cached_property
    def _db(self) -> Database:
        """In memory the first ask makes it: most simulated nodes are nobody's witness."""
        return open_database(None, _CELLS, _CELLS_VERSION, synchronous="FULL")

    def _open(self, path: Path, now: float) -> None:
        self._db = open_database(
            path, _CELLS, _CELLS_VERSION, synchronous="FULL", save=self._forget
        )
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO meta VALUES ('born', ?)", (now,))
        self.born = self._db.execute("SELECT value FROM meta").fetchone()[0]
        self.count = self._db.execute("SELECT count(*) FROM cells").fetchone()[0]

    @staticmethod
    def _forget(old: sqlite3.Connection | None, new: sqlite3.Connection) -> str:  # noqa: ARG004 - nothing is taken over
        return "this witness begins anew and grants nothing for the time of one longest lease"

    def close(self) -> None:
        if "_db" in vars(self):
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
        count = self.count
        try:
            with self._db:
                yield
        except BaseException as error:
            self.count = count
            if isinstance(error, sqlite3.Error):
                raise self._db.refusal(error) from error
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
            if old is None and self.count >= self._max_cells:
                raise StorageError(f"all {self._max_cells} cells are taken", where="witness")
            self._db.execute("INSERT OR REPLACE INTO cells VALUES (?, ?)", (key, new))
        self.count += (new is not None) - (old is not None)
