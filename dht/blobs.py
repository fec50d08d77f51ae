"""Blobs: files named by the SHA-256 of their bytes, who may have them, and how they are fetched.

Guards: a blob is what its name says (checked on every read and every fetch); it is written whole or
not at all; it is served to its audience only, and refused in the same words as one that is missing.
"""

import asyncio
import contextlib
import hashlib
import random
import secrets
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import tenacity

from pockethive.core.errors import BadEncoding, NetworkError, ProtocolError, StorageError
from pockethive.dht.contact import Contact
from pockethive.dht.database import open_database, refusal
from pockethive.dht.identity import PUBLIC_SIZE

MAX_BLOB: Final = 64 * 2**20
MAX_DEVICES: Final = 1024
FETCH_ROUNDS: Final = 2

Allow = Callable[[bytes, str], bool]
"""`(peer's public key, blob hash) -> may have it`."""

Answer = Callable[[bytes, str], bytes | None]
"""`(peer's public key, blob hash) -> its bytes`, None when missing or not for this peer."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE blobs (
  hash TEXT PRIMARY KEY, size INTEGER NOT NULL, public INTEGER NOT NULL, devices BLOB NOT NULL
) WITHOUT ROWID;
"""
_BIG = 2**20  # bytes from which hashing is worth a thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who may fetch a blob: everyone, or these devices (public keys)."""

    public: bool = False
    devices: frozenset[bytes] = frozenset()

    def __contains__(self, peer: bytes) -> bool:
        return self.public or peer in self.devices

    def __or__(self, other: "Audience") -> "Audience":
        return Audience(public=self.public or other.public, devices=self.devices | other.devices)


EVERYONE: Final = Audience(public=True)
NOBODY: Final = Audience()


class BlobStore:
    """Blobs of one device, in a folder or (None) in memory. Any thread.

    A blob's bytes are renamed into place after they are written; the index follows. What a crash
    leaves between the two is an unnamed file that the next `put` of the same bytes adopts.
    """

    def __init__(self, folder: Path | None = None, *, quota: int = 2 * 2**30) -> None:
        self._folder, self._quota = folder, quota
        self._memory: dict[str, bytes] = {}
        self._lock = threading.Lock()
        index = folder and folder / "index.sqlite"
        self._db = open_database(index, _SCHEMA, _VERSION, synchronous="NORMAL")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def put(self, data: bytes, audience: Audience = NOBODY) -> str:
        """Keep `data` for `audience` (added to the one it has); its name, hex SHA-256.

        Raises:
            StorageError: too large, over the quota, or the disk refuses.
        """
        if len(data) > MAX_BLOB:
            raise StorageError(f"a blob of {len(data)} bytes, at most {MAX_BLOB} are kept")
        if len(audience.devices) > MAX_DEVICES:
            raise StorageError(f"an audience has at most {MAX_DEVICES} devices")
        name = hashlib.sha256(data).hexdigest()
        with self._lock:
            known = self._audience(name)
            if known is None:
                used = self._db.execute("SELECT coalesce(sum(size), 0) FROM blobs").fetchone()[0]
                if used + len(data) > self._quota:
                    raise StorageError(
                        f"the blob store is full ({used} of {self._quota} bytes)",
                        where=str(self._folder or "memory"),
                        cure="drop what is not needed or raise the quota",
                    )
                self._write(name, data)
            wider = audience | (known or NOBODY)
            devices = b"".join(sorted(wider.devices))
            try:
                with self._db:
                    self._db.execute(
                        "INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?)",
                        (name, len(data), wider.public, devices),
                    )
            except sqlite3.Error as error:
                raise refusal(error) from error
        return name

    def get(self, name: str) -> bytes:
        """The bytes. Raises StorageError: not here, or damaged on the disk."""
        if not self.has(name):
            raise StorageError("no such blob", where=name)
        try:
            data = self._memory[name] if self._folder is None else self._path(name).read_bytes()
        except OSError as error:
            raise StorageError(f"cannot read the blob: {error.strerror}", where=name) from error
        if hashlib.sha256(data).hexdigest() != name:
            raise StorageError("the blob is damaged", where=name, cure="drop it and fetch it again")
        return data

    def has(self, name: str) -> bool:
        with self._lock:
            return self._audience(name) is not None

    def allows(self, peer: bytes, name: str) -> bool:
        """Whether `peer` (public key) is in the blob's audience."""
        with self._lock:
            audience = self._audience(name)
        return audience is not None and peer in audience

    def drop(self, name: str) -> None:
        """Forget a blob; nothing happens when it is not here."""
        with self._lock, self._db:
            self._db.execute("DELETE FROM blobs WHERE hash = ?", (name,))
            self._memory.pop(name, None)
            if self._folder is not None and is_name(name):
                self._path(name).unlink(missing_ok=True)

    def _audience(self, name: str) -> Audience | None:
        row = self._db.execute(
            "SELECT public, devices FROM blobs WHERE hash = ?", (name,)
        ).fetchone()
        if row is None:
            return None
        keys = (row[1][i : i + PUBLIC_SIZE] for i in range(0, len(row[1]), PUBLIC_SIZE))
        return Audience(public=bool(row[0]), devices=frozenset(keys))

    def _write(self, name: str, data: bytes) -> None:
        if self._folder is None:
            self._memory[name] = data
            return
        path = self._path(name)
        draft = path.with_name(f".{name}.{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(data)
            draft.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise StorageError(
                f"cannot write a blob: {error.strerror}",
                where=str(self._folder),
                cure="free some space, or choose another home folder",
            ) from error

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / name[:2] / name


class BlobCarrier(Protocol):
    """How blobs travel: TLS between real devices, memory in a simulation."""

    async def listen(self, contact: Contact, answer: Answer) -> None:
        """Serve at the contact's address. Raises OSError when it is taken."""

    async def fetch(self, contact: Contact, name: str) -> bytes:
        """The bytes that the contact gives for a blob. Raises NetworkError, ProtocolError."""

    async def close(self) -> None:
        """Stop serving, close connections."""


async def fetch_from(
    carrier: BlobCarrier, contacts: Sequence[Contact], name: str, rng: random.Random
) -> bytes:
    """A blob from the first of several holders that has it, checked against its name.

    Raises:
        NetworkError: in `FETCH_ROUNDS` rounds nobody gave it; says why for each.
    """
    retrying = tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(FETCH_ROUNDS),
        wait=lambda _: rng.uniform(0.1, 0.3),
        retry=tenacity.retry_if_exception_type(NetworkError),
        reraise=True,
    )
    return await retrying(_round, carrier, contacts, name)


def check_name(name: str) -> str:
    """`name` if it is a hex SHA-256. Raises BadEncoding."""
    if not is_name(name):
        raise BadEncoding(f"not the name of a blob: {name[:80]!r}")
    return name


def is_name(name: str) -> bool:
    return len(name) == 64 and all(letter in "0123456789abcdef" for letter in name)


async def _round(carrier: BlobCarrier, contacts: Sequence[Contact], name: str) -> bytes:
    faults: list[str] = []
    for contact in contacts:
        try:
            data = await carrier.fetch(contact, check_name(name))
            await _check(data, name)
        except (NetworkError, ProtocolError) as error:
            faults.append(str(error))
            continue
        return data
    raise NetworkError(
        f"no holder gave the blob: {'; '.join(faults) or 'none is known'}",
        where=name,
        cure="is a device that holds it up, and may this one have it?",
    )


async def _check(data: bytes, name: str) -> None:
    found = (
        hashlib.sha256(data) if len(data) < _BIG else await asyncio.to_thread(hashlib.sha256, data)
    )
    if found.hexdigest() != name:
        raise ProtocolError("a holder gave other bytes than the blob's", where=name)
