"""SQLite files of a home that several processes use at once, each in transactions of its own.

Guards: only its owner can read the file; a change is whole or not at all, among all processes. For
databases of one process, which are examined after a crash, see `database`.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pockethive.core.errors import StorageError

_BUSY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a database is, and what its user is told of one that is not.

    `noun`: as in "the hive cannot be read"; `kind`: as in "a hive of version 3". `steps`: what
    makes an older version the next one. `full`: on the disk when a transaction ends, and not only
    whole. `unread`, `unknown`: the cure of one that cannot be read, or is of an unknown version.
    """

    noun: str
    kind: str
    schema: str
    version: int
    steps: Mapping[int, str] = field(default_factory=dict)
    full: bool = False
    unread: str = ""
    unknown: str = "use the PocketHive that wrote it"


def open_shared(path: Path | None, form: Form) -> sqlite3.Connection:
    """A connection for any thread; None as path keeps all in memory. No transaction is open.

    Raises:
        StorageError: it cannot be opened, is damaged or of another version.
    """
    where = ":memory:" if path is None else str(path)
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(
            where, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None
        )
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"cannot open {form.noun}: {error}", where=where) from error
    try:
        _prepare(db, form, where)
    except BaseException:
        db.close()
        raise
    return db


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


def _prepare(db: sqlite3.Connection, form: Form, where: str) -> None:
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if form.full else 'NORMAL'}")
        with transaction(db):
            found = _lay_out(db, form)
    except sqlite3.Error as error:
        raise StorageError(
            f"{form.noun} cannot be read: {error}", where=where, cure=form.unread
        ) from error
    if found != form.version:
        raise StorageError(
            f"{form.kind} of version {found}, this program reads {form.version}",
            where=where,
            cure=form.unknown,
        )


def _lay_out(db: sqlite3.Connection, form: Form) -> int:
    """Make the tables where there are none, or bring them up to date; the version they have now."""
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    before = found
    if found == 0:
        for statement in form.schema.split(";"):
            db.execute(statement)
        found = form.version
    while found in form.steps:
        db.execute(form.steps[found])
        found += 1
    if found != before:
        db.execute(f"PRAGMA user_version = {found}")
    return found
