"""What a person has seen of devices: their standing by model class, in his `credits.sqlite`.

Several processes of one home keep books at once, so each thing seen is applied in a transaction of
its own. Guards: never anybody else's word; bounded; of a known version; mode 0600.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pockethive.core.credibility import Credit, Seen, Standing, seen
from pockethive.core.errors import StorageError
from pockethive.core.fields import clip
from pockethive.core.task import DeviceId
from pockethive.dht.shared_database import Form, open_shared, transaction

FILE: Final = "credits.sqlite"
MAX_CREDITS: Final = 10_000  # standings; the one that changed longest ago gives way
_SCHEMA: Final = """
CREATE TABLE credits (
  device TEXT NOT NULL, model TEXT NOT NULL,
  in_a_row INTEGER NOT NULL, valid INTEGER NOT NULL, invalid INTEGER NOT NULL,
  fell TEXT NOT NULL, fell_at INTEGER NOT NULL, changed INTEGER NOT NULL,
  PRIMARY KEY (device, model)
) WITHOUT ROWID;
CREATE INDEX by_change ON credits (changed)
"""
_FORM: Final = Form(
    noun="the credits",
    kind="credits",
    schema=_SCHEMA,
    version=1,
    unread="move the file away; credit is then earned anew",
    unknown="use the PocketHive that wrote them",
)
_COLUMNS: Final = "device, model, in_a_row, valid, invalid, fell, fell_at"


class Credits:
    """One person's. Any thread; None as path keeps them in memory.

    Raises (on construction):
        StorageError: unreadable, damaged or of another version.
    """

    def __init__(self, path: Path | None) -> None:
        self._where = ":memory:" if path is None else str(path)
        self._lock = threading.Lock()
        self._db = open_shared(path, _FORM)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def all(self) -> tuple[Credit, ...]:
        """Every standing, by device and model class. Raises StorageError."""
        with self._changing():
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM credits ORDER BY device, model"  # noqa: S608 - a constant
            ).fetchall()
        return tuple(_credit(row) for row in rows)

    def keep(self, key: tuple[DeviceId, str], what: Seen, reason: str, now: float) -> Credit:
        """Apply what was seen of (device, model class) at unix time `now`; the standing after it.

        Raises StorageError.
        """
        with self._changing():
            row = self._db.execute(
                f"SELECT {_COLUMNS} FROM credits WHERE device = ? AND model = ?",  # noqa: S608
                key,
            ).fetchone()
            known = Credit(device=key[0], model=key[1], standing=Standing())
            known = known if row is None else _credit(row)
            fell = what is not Seen.VALID
            credit = Credit(
                device=key[0],
                model=key[1],
                standing=seen(known.standing, what),
                fell=clip(reason) if fell else known.fell,
                fell_at=int(now) if fell else known.fell_at,
            )
            standing = credit.standing
            self._db.execute(
                "INSERT OR REPLACE INTO credits VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(*key, standing.in_a_row, standing.valid, standing.invalid),
                    *(credit.fell, credit.fell_at, int(now)),
                ),
            )
            self._db.execute(
                "DELETE FROM credits WHERE (device, model) IN (SELECT device, model FROM credits"
                " ORDER BY changed DESC, device, model LIMIT -1 OFFSET ?)",
                (MAX_CREDITS,),
            )
        return credit

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            try:
                with transaction(self._db):
                    yield
            except sqlite3.Error as error:
                raise StorageError(f"the credits: {error}", where=self._where) from error


def credits_of(home: Path) -> tuple[Credit, ...]:
    """What the person of a home has seen of devices; nothing before the first run."""
    if not (home / FILE).exists():
        return ()
    credits_ = Credits(home / FILE)
    try:
        return credits_.all()
    finally:
        credits_.close()


def _credit(row: tuple[str, str, int, int, int, str, int]) -> Credit:
    device, model, in_a_row, valid, invalid, fell, fell_at = row
    return Credit(
        device=DeviceId(device),
        model=model,
        standing=Standing(in_a_row, valid, invalid),
        fell=fell,
        fell_at=fell_at,
    )
