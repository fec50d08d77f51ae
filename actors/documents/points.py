"""What texts mean, kept from one start to the next: rows of an encoder in a SQLite file.

A row is known by its text alone, so documents may change, move and come back. Rows of another
encoder are dropped when the file is opened; so is all of it when it is damaged or of another
version, for it can be made again. Bounded: with `MOST` rows the oldest go first. Any thread.
"""

import hashlib
import sqlite3
import threading
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

VERSION: Final = 1
MOST: Final = 50_000  # rows; 384 figures of 4 bytes each make 77 MB
_AT_ONCE: Final = 500  # names in a statement
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS made (version INTEGER NOT NULL, encoder TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS points (
  place INTEGER PRIMARY KEY AUTOINCREMENT, text BLOB NOT NULL UNIQUE, row BLOB NOT NULL);
"""


class Points:
    """Rows by text, made by `encoder`, in `path`."""

    def __init__(self, path: Path, encoder: str) -> None:
        """Open or make it. Raises OSError or sqlite3.Error where nothing can be written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._busy = threading.Lock()
        if not _is_of(path, encoder):
            for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                name.unlink(missing_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._db:
            self._db.executescript(_SCHEMA)
            if not self._db.execute("SELECT 1 FROM made").fetchone():
                self._db.execute("INSERT INTO made VALUES (?, ?)", (VERSION, encoder))

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


def _is_of(path: Path, encoder: str) -> bool:
    """False when the file is missing, damaged, of another version or of another encoder."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path)) as connection:
            made = connection.execute("SELECT version, encoder FROM made").fetchone()
            connection.execute("SELECT text, row FROM points LIMIT 1").fetchone()
    except sqlite3.DatabaseError:
        return False
    return bool(made == (VERSION, encoder))
