"""SQLite databases of a node: opened in one way, with one version check, by one process at a time.

Guards: a database that was not closed properly is examined before it is used. Where its owner can
save something from a damaged one, that goes into a new database, written whole before it takes the
old one's place, and the damaged file stays beside it; otherwise it is reported with its place and a
cure, and left as it is.
"""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from pockethive.core.errors import StorageError

log = logging.getLogger(__name__)

Save = Callable[[sqlite3.Connection | None, sqlite3.Connection], str]
"""`(old database, None when it cannot even be opened; new database) -> what became of it`.

The old one may fail at any row. The answer ends the sentence that tells the user.
"""

_SMALL = 16 * 2**20  # bytes that are examined within some 10 ms
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


class Database(sqlite3.Connection):
    """A connection that leaves its mark beside the file unless it is closed in good order."""

    mark: Path | None = None
    damaged = False

    def close(self) -> None:
        super().close()
        if self.mark is not None and not self.damaged:
            self.mark.unlink(missing_ok=True)

    def refusal(self, error: sqlite3.Error) -> StorageError:
        """`refusal`, remembering damage: the next start examines the file."""
        self.damaged |= _is_damage(error)
        return refusal(error)


class _FoundError(sqlite3.DatabaseError):
    """Damage that our own examination found."""


class _UnusableError(StorageError):
    """A database that has to be replaced: damaged, or of an `older` version."""

    older = False


def open_database(
    path: Path | None,
    schema: str,
    version: int,
    *,
    synchronous: str,
    save: Save | None = None,
) -> Database:
    """A SQLite database of ours (None: in memory). Usable from one thread at a time, whichever.

    With `save`, a damaged database or one of an older version is replaced by a new one.

    Raises:
        StorageError: unreadable, damaged, or of another version.
    """
    if path is None:
        return _open(None, schema, version, synchronous)
    draft = _draft(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if draft.exists() and not path.exists():  # it was complete: the old one had left already
            for leftover in _files(path):
                leftover.unlink(missing_ok=True)
            draft.replace(path)
        return _open(path, schema, version, synchronous)
    except OSError as error:
        raise StorageError(f"cannot open the database: {error}", where=str(path)) from error
    except _UnusableError as error:
        if save is None:
            raise
        told = _replace(path, lambda: _open(draft, schema, version, synchronous), save, error)
    log.warning("%s", told)
    return _open(path, schema, version, synchronous)


def refusal(error: sqlite3.Error) -> StorageError:
    """What to say when a database in use cannot be written."""
    if _is_damage(error):
        return StorageError(
            f"the database is damaged: {error}",
            cure="start again: what can still be read is saved then",
        )
    return StorageError(f"the disk refuses: {error}", cure="free some space on the home's disk")


def _open(path: Path | None, schema: str, version: int, synchronous: str) -> Database:
    where = ":memory:" if path is None else str(path)
    try:
        db = sqlite3.connect(where, timeout=1.0, check_same_thread=False, factory=Database)
    except sqlite3.Error as error:
        raise StorageError(f"cannot open the database: {error}", where=where) from error
    try:
        found = 0 if path is None else _prepare(db, path, synchronous)
        if found == 0:
            db.executescript(f"BEGIN; {schema} PRAGMA user_version = {version}; COMMIT;")
        elif found != version:
            raise _other_version(where, found, version)
    except sqlite3.Error as error:
        db.close()
        raise _unusable(where, error) from error
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: Database, path: Path, synchronous: str) -> int:
    """Lock the file, choose how it is written, look for damage; the version found in it."""
    db.execute("PRAGMA locking_mode = EXCLUSIVE")  # two processes on one home do not mix
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    _examine(db, path)
    return version


def _examine(db: Database, path: Path) -> None:
    """Look for damage: in small files always, in others after a start that had no proper end."""
    db.mark = path.with_name(f"{path.name}.open")
    if not db.mark.exists():
        db.mark.touch()
        if path.stat().st_size > _SMALL:
            return
    faults = [row[0] for row in db.execute("PRAGMA quick_check(1)")]
    if faults != ["ok"]:
        db.damaged = True
        raise _FoundError(faults[0].replace("\n", " "))


def _replace(path: Path, create: Callable[[], Database], save: Save, fault: _UnusableError) -> str:
    """Save what `path` still holds into a new database in its place; the sentence to tell.

    Killed at any moment, the next start finds the old database, or the whole new one.
    """
    draft = _draft(path)
    for leftover in _files(draft):
        leftover.unlink(missing_ok=True)
    with contextlib.closing(create()) as new, contextlib.ExitStack() as stack:
        old = _reader(path)
        if old is not None:
            stack.callback(old.close)
        result = save(old, new)
    told = f"{path}: {fault.what}; {result}"
    _, journal, index, mark = _files(path)
    if not fault.older:
        aside = _aside(path)
        path.replace(aside)
        if journal.exists():
            journal.replace(_files(aside)[1])
        told += f"; the damaged file is kept as {aside.name}"
    for leftover in (journal, index, mark):
        leftover.unlink(missing_ok=True)
    draft.replace(path)
    return told


def _reader(path: Path) -> sqlite3.Connection | None:
    """A connection that reads around damage: `writable_schema` forgives a file that was cut."""
    db = sqlite3.connect(path, timeout=1.0)
    try:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("PRAGMA query_only = ON")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        db.close()
        return None
    return db


def _files(path: Path) -> tuple[Path, Path, Path, Path]:
    """A database and what may lie beside it."""
    journal, index, mark = (path.with_name(path.name + end) for end in ("-wal", "-shm", ".open"))
    return path, journal, index, mark


def _draft(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _aside(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    names = [
        f"{path.name}.damaged-{stamp}",
        *(f"{path.name}.damaged-{stamp}-{n}" for n in range(9)),
    ]
    return next(file for name in names if not (file := path.with_name(name)).exists())


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)  # the module's own complaints have none
    return isinstance(error, _FoundError) or (code is not None and code & 0xFF in _DAMAGE)


def _other_version(where: str, found: int, version: int) -> StorageError:
    error = _UnusableError if found < version else StorageError
    fault = error(
        f"database version {found}, this program reads {version}",
        where=where,
        cure="use the PocketHive that wrote it, or move the file away",
    )
    if isinstance(fault, _UnusableError):
        fault.older = True
    return fault


def _unusable(where: str, error: sqlite3.Error) -> StorageError:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
        return StorageError(
            "another process uses this home",
            where=where,
            cure="stop it, or give this one a home folder of its own",
        )
    kind = _UnusableError if _is_damage(error) else StorageError
    return kind(
        f"the database cannot be read: {error}",
        where=where,
        cure="restore it from a backup, or move it away to start empty",
    )
