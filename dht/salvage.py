"""Reads what is left of a damaged database of records.

Guards: a page that cannot be read costs the records on it, not those behind it; what comes out is
only bytes, and whoever stores them verifies each record's signature.
"""

import contextlib
import sqlite3
from collections.abc import Iterator

_NAME = "key, kind, author, slot, digest"
_BACKWARDS = "key DESC, kind DESC, author DESC, slot DESC, digest DESC"
_ORDERS = ("rowid", "rowid DESC", _NAME, _BACKWARDS)  # databases of version 2 have no row ids
_INDEXES = ("sqlite_autoindex_records_1", "by_expiry")  # whose entries hold all names, by version


def readable_records(db: sqlite3.Connection) -> Iterator[bytes]:
    """Encoded records, each once: from the front, from the back, then by name from an index."""
    seen: set[bytes] = set()
    for order in _ORDERS:
        with contextlib.suppress(sqlite3.Error):
            for digest, data in db.execute(f"SELECT digest, data FROM records ORDER BY {order}"):  # noqa: S608
                if digest not in seen:
                    seen.add(digest)
                    yield data
    names: list[tuple[object, ...]] = []
    for index in _INDEXES:
        with contextlib.suppress(sqlite3.Error):
            query = f"SELECT {_NAME} FROM records INDEXED BY {index}"  # noqa: S608 - our own text
            names.extend(db.execute(query))
    for name in names:
        if name[-1] in seen:
            continue
        with contextlib.suppress(sqlite3.Error):
            row = db.execute(
                "SELECT data FROM records WHERE key = ? AND kind = ? AND author = ? AND slot = ?"
                " AND digest = ?",
                name,
            ).fetchone()
            if row is not None:
                yield row[0]
