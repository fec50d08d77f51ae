"""What a home knows of its private hive, in `hive.sqlite`: charter, list, keys, open invitations.

Every device process of a home reads and writes the same file, so each change is one transaction.
Guards: a list older than the newest one ever kept is refused, also after a restart; the counting of
an invitation and the list that it led to are written together or not at all; mode 0600.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pockethive.core.canonical import digest
from pockethive.core.errors import ProtocolError, StorageError
from pockethive.dht.admission import EXPIRED, UNKNOWN, USED_UP
from pockethive.dht.charter import Charter
from pockethive.dht.member_list import MemberList, newest
from pockethive.dht.record import Record
from pockethive.dht.shared_database import Form, open_shared, transaction

FILE: Final = "hive.sqlite"
MAX_OPEN: Final = 256  # invitations
_SCHEMA: Final = """
CREATE TABLE charter (one INTEGER PRIMARY KEY CHECK (one = 1), data BLOB NOT NULL);
CREATE TABLE list (slot BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE rank (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER, hash BLOB);
CREATE TABLE keys (generation INTEGER PRIMARY KEY, key BLOB NOT NULL);
CREATE TABLE invitations (
  name BLOB PRIMARY KEY, verifier BLOB NOT NULL, uses INTEGER, expires INTEGER
) WITHOUT ROWID;
CREATE TABLE admitted (name BLOB, device BLOB, PRIMARY KEY (name, device)) WITHOUT ROWID;
"""
_FORM: Final = Form(noun="the hive", kind="a hive", schema=_SCHEMA, version=1, full=True)


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    """What is kept of an invitation. `name` is what a joiner calls it, `verifier` checks proofs."""

    name: bytes
    verifier: bytes
    uses: int
    expires: int


def invitation_name(verifier: bytes) -> bytes:
    """The hash by which a joiner names an invitation."""
    return digest("invitation name", verifier)


class HiveStore:
    """One home's hive. Any thread; None as path keeps it in memory.

    Raises (on construction):
        StorageError: unreadable, damaged or of another version.
    """

    def __init__(self, path: Path | None) -> None:
        self._where = ":memory:" if path is None else str(path)
        self._lock = threading.RLock()
        self._db = open_shared(path, _FORM)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def charter(self) -> Charter | None:
        """The hive that this home belongs to."""
        row = self._one("SELECT data FROM charter")
        return None if row is None else Charter.decode(row[0])

    @property
    def rank(self) -> tuple[int, bytes]:
        """Of the newest list ever kept; (0, nothing) before the first."""
        row = self._one("SELECT version, hash FROM rank")
        return (0, b"") if row is None else (row[0], row[1])

    def records(self) -> list[Record]:
        """The records of the newest list, the head first."""
        with self._reading():
            rows = self._db.execute(
                "SELECT data FROM list ORDER BY slot = ? DESC, slot", (b"head",)
            )
            return [Record.decode(data) for (data,) in rows]

    def keys(self) -> dict[int, bytes]:
        """The hive's key by generation."""
        with self._reading():
            return dict(self._db.execute("SELECT generation, key FROM keys").fetchall())

    def newest(self) -> MemberList | None:
        """The newest list."""
        charter = self.charter
        return None if charter is None else newest(charter, self.records())

    def belong(self, charter: Charter) -> None:
        """This home belongs to that hive. Raises StorageError when it belongs to another."""
        with self.changing():
            known = self.charter
            if known is not None and known != charter:
                raise StorageError(
                    f"this home belongs to the hive {known.name!r}",
                    where=self._where,
                    cure="use another home: --home DIR",
                )
            self._db.execute("INSERT OR IGNORE INTO charter VALUES (1, ?)", (charter.encode(),))

    def keep(self, records: Sequence[Record]) -> MemberList | None:
        """Keep the list that the records carry unless an equal or newer one is kept; the list."""
        charter = self.charter
        found = None if charter is None else newest(charter, records)
        if found is None:
            return None
        with self.changing():
            if found.rank < self.rank:
                return None
            self._db.execute("DELETE FROM list")
            self._db.executemany(
                "INSERT OR REPLACE INTO list VALUES (?, ?)",
                [
                    (record.slot, record.encode())  # of one body the longest-lived record, last
                    for record in sorted(records, key=lambda one: one.rank)
                    if record.body in found.bodies
                ],
            )
            self._db.execute("INSERT OR REPLACE INTO rank VALUES (1, ?, ?)", found.rank)
        return found

    def keep_key(self, generation: int, key: bytes) -> None:
        """Keep the key of a generation; the first one kept stays."""
        with self.changing():
            self._db.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (generation, key))

    # invitations

    def invite(self, verifier: bytes, uses: int, expires: int, now: float) -> None:
        """Open an invitation. Raises StorageError when too many are open."""
        with self.changing():
            self._db.execute("DELETE FROM invitations WHERE expires <= ?", (now - 86_400,))
            self._db.execute(
                "DELETE FROM admitted WHERE name NOT IN (SELECT name FROM invitations)"
            )
            count = self._db.execute("SELECT count(*) FROM invitations").fetchone()[0]
            if count >= MAX_OPEN:
                raise StorageError(
                    f"{MAX_OPEN} invitations are open", cure="wait until some have expired"
                )
            self._db.execute(
                "INSERT INTO invitations VALUES (?, ?, ?, ?)",
                (invitation_name(verifier), verifier, uses, expires),
            )

    def invitation(self, name: bytes) -> OpenInvitation | None:
        """What is kept of an invitation."""
        row = self._one(
            "SELECT name, verifier, uses, expires FROM invitations WHERE name = ?", name
        )
        return None if row is None else OpenInvitation(*row)

    def bar(self, devices: Iterable[bytes]) -> None:
        """Inside `changing`: no invitation that is open now lets these devices in again.

        What let them in is closed for everybody: they know its secret, and new keys cost nothing.
        """
        for device in devices:
            self._db.execute(
                "UPDATE invitations SET uses = 0 WHERE name IN"
                " (SELECT name FROM admitted WHERE device = ?)",
                (device,),
            )
            self._db.execute(
                "INSERT OR IGNORE INTO admitted SELECT name, ? FROM invitations", (device,)
            )

    def count_use(self, name: bytes, device: bytes, now: float, *, listed: bool) -> str:
        """Inside `changing`: use an invitation for a device; why it cannot be, or nothing.

        A listed device that asks again, because an answer was lost, is counted once.
        """
        invitation = self.invitation(name)
        if invitation is None:
            return UNKNOWN
        if invitation.expires <= now:
            return EXPIRED
        if self._one("SELECT 1 FROM admitted WHERE name = ? AND device = ?", name, device):
            return "" if listed else USED_UP
        if invitation.uses <= 0:
            return USED_UP
        self._db.execute("UPDATE invitations SET uses = uses - 1 WHERE name = ?", (name,))
        self._db.execute("INSERT INTO admitted VALUES (?, ?)", (name, device))
        return ""

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """One transaction among all processes of the home; may be nested. Raises StorageError."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            try:
                with transaction(self._db):
                    yield
            except sqlite3.Error as error:
                raise StorageError(f"the disk refuses: {error}", where=self._where) from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (sqlite3.Error, ProtocolError) as error:
                raise StorageError(
                    f"the hive cannot be read: {error}",
                    where=self._where,
                    cure="restore it from a backup, or move it away and join again",
                ) from error

    def _one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        with self._reading():
            row: tuple[Any, ...] | None = self._db.execute(statement, values).fetchone()
            return row


def hive_of(home: Path) -> HiveStore | None:
    """The hive that a home belongs to, opened; None when it belongs to none."""
    if not (home / FILE).exists():
        return None
    store = HiveStore(home / FILE)
    if store.charter is None:
        store.close()
        return None
    return store
