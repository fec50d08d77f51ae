"""SQLite databases of a node: opened in one way, with one version check, by one process at a time.

Guards: a file that cannot be read is reported with its place and a cure, and left as it is.
"""

import sqlite3
from pathlib import Path

from pockethive.core.errors import StorageError


def open_database(
    path: Path | None, schema: str, version: int, *, synchronous: str
) -> sqlite3.Connection:
    """A SQLite database of ours (None: in memory). Usable from one thread at a time, whichever.

    Raises:
        StorageError: unreadable, damaged, or of another version.
    """
    where = ":memory:" if path is None else str(path)
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        db = sqlite3.connect(where, timeout=1.0, check_same_thread=False)
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"cannot open the database: {error}", where=where) from error
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # two processes on one home do not mix
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            db.executescript(f"BEGIN; {schema} PRAGMA user_version = {version}; COMMIT;")
        elif found != version:
            raise StorageError(
                f"database version {found}, this program reads {version}",
                where=where,
                cure="use the PocketHive that wrote it, or move the file away",
            )
    except sqlite3.Error as error:
        db.close()
        raise _unusable(where, error) from error
    except StorageError:
        db.close()
        raise
    return db


def refusal(error: sqlite3.Error) -> StorageError:
    """What to say when a database in use cannot be written."""
    return StorageError(f"the disk refuses: {error}", cure="free some space on the home's disk")


def _unusable(where: str, error: sqlite3.Error) -> StorageError:
    if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
        return StorageError(
            "another process uses this home",
            where=where,
            cure="stop it, or give this one a home folder of its own",
        )
    return StorageError(
        f"the database cannot be read: {error}",
        where=where,
        cure="restore it from a backup, or move it away to start empty",
    )
