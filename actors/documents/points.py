"""What texts mean, kept from one start to the next: rows of an encoder in a SQLite file.

A row is known by its text alone, so documents may change, move and come back. Rows of another
encoder are dropped when the file is opened; so is all of it when it is damaged or of another
version, for it can be made again. Bounded: with `MOST` rows the oldest go first. Any thread.
"""

import hashlib
import threading
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pockethive.core.errors import StorageError
from pockethive.dht.database import Database, open_database

VERSION: Final = 1
MOST: Final = 50_000  # rows; 384 figures of 4 bytes each make 77 MB
_AT_ONCE: Final = 500  # names in a statement
_SCHEMA: Final = """
CREATE TABLE made (encoder TEXT NOT NULL);
CREATE TABLE points (
  place INTEGER PRIMARY KEY AUTOINCREMENT, text BLOB NOT NULL UNIQUE, row BLOB NOT NULL);
"""


class Points:
    """Rows by text, made by `encoder`, in `path`."""

    def __init__(self, path: Path, encoder: str) -> None:
        """Open or make it. Raises OSError or StorageError where nothing can be written."""
        self._busy = threading.Lock()
        self._db = _opened(path)
        with self._db:
            if self._db.execute("SELECT encoder FROM made").fetchone() != (encoder,):
                self._db.execute("DELETE FROM points")
                self._db.execute("DELETE FROM made")
                self._db.execute("INSERT INTO made VALUES (?)", (encoder,))

    def of(self, texts: Iterable[str]) -> dict[str, Sequence[float]]:
        """The rows that are kept, by text."""
        names = {_name(text): text for text in texts}
        keys, found = list(names), dict[str, Sequence[float]]()
        with self._busy:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = self._db.execute(
                    f"SELECT text, row FROM points WHERE text IN ({marks})",  # noqa: S608 marks only
                    some,
                )
                found |= {names[key]: array("f", row) for key, row in rows if len(row) % 4 == 0}
        return found

    def keep(self, rows: Mapping[str, Sequence[float]]) -> None:
        """Keep rows by text."""
        with self._busy, self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO points (text, row) VALUES (?, ?)",
                [(_name(text), array("f", row).tobytes()) for text, row in rows.items()],
            )
            self._db.execute(
                "DELETE FROM points WHERE place <= (SELECT max(place) FROM points) - ?", (MOST,)
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _name(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def _opened(path: Path) -> Database:
    """The file as it is, or a new one where it is damaged or of another version."""
    try:
        return open_database(path, _SCHEMA, VERSION, synchronous="NORMAL")
    except StorageError:
        for ending in ("", "-wal", "-shm", ".open"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        return open_database(path, _SCHEMA, VERSION, synchronous="NORMAL")
