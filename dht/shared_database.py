"""SQLite files of a home that several processes use at once, each in transactions of its own.

Guards: only its owner can read the file; a change is whole or not at all, among all processes. For
databases of one process, which are examined after a crash, see `database`.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from pockethive.core.errors import StorageError

_BUSY_SECONDS = 5.0


def open_shared(path: Path | None, noun: str) -> sqlite3.Connection:
    """A connection for any thread; None as path keeps all in memory. No transaction is open.

    Raises:
        StorageError: `noun` cannot be opened.
    """
    where = ":memory:" if path is None else str(path)
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        return sqlite3.connect(
            where, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None
        )
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"cannot open {noun}: {error}", where=where) from error


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All that is done inside, or nothing; nobody else writes meanwhile. Raises sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def lay_out(db: sqlite3.Connection, schema: str, version: int) -> int:
    """Make the tables where there are none, inside a transaction; the version that was found.

    It is 0 for a file that was new.
    """
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    if found == 0:
        for statement in schema.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
    return found
