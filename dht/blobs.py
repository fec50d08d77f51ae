"""Blobs a device holds: named by what they contain, with who may have them and who needs them.

Guards: a blob is what its name says (checked when it is read here, and by whoever fetches it); it
is there whole or not at all; it is for its audience only; the quota is kept by letting the least
recently used go, never one that is referred to (`references.py`) or that is fresh.
"""

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Final

from pockethive.core.errors import StorageError
from pockethive.dht import blob_index as table
from pockethive.dht.audience import EVERYONE, NOBODY, Audience
from pockethive.dht.blob_files import (
    DiskFiles,
    Files,
    MemoryFiles,
    Source,
    check,
    copy_out,
    damaged,
    pieces_of,
)
from pockethive.dht.blob_index import SMALL, Row
from pockethive.dht.chunks import CHUNK, MAX_BLOB, Manifest, count_of, leaf, name_of
from pockethive.dht.database import Database
from pockethive.dht.partial import Partial
from pockethive.dht.references import References
from pockethive.dht.shared_database import transaction

__all__ = ["EVERYONE", "MAX_WHOLE", "NOBODY", "SMALL", "Audience", "BlobStore"]

MAX_WHOLE: Final = 64 * 2**20
"""Bytes up to which a blob may be put and got in one piece."""
MAX_PARTIALS: Final = 16
FRESH: Final = 3600.0
"""Seconds after its last use for which a blob is not evicted."""

_TOUCH = 60.0  # seconds between two notes of a blob's use


class BlobStore:
    """Blobs of one device, in a folder or (None) in memory. Any thread.

    Small ones are in the index. The bytes of others are renamed into place after they are written;
    the index follows. What a crash leaves between the two is an unnamed file that the next `put` of
    the same bytes adopts, or `gc` removes. `quota` is in bytes and counts what is
    being fetched, `fresh` in seconds.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        quota: int = 2 * 2**30,
        fresh: float = FRESH,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._quota, self._fresh, self._clock = folder, quota, fresh, clock
        self._lock = threading.Lock()
        self._open: set[str] = set()  # partials that somebody writes now
        self._used = self._reserved = 0  # bytes of what is named, and of drafts
        if folder is not None:  # an index in memory is made when it is first used
            self._used = self._db.execute(table.USED).fetchone()[0]
        self._files: Files = MemoryFiles() if folder is None else DiskFiles(folder)

    @cached_property
    def _db(self) -> Database:
        return table.open_index(self._folder)

    @cached_property
    def references(self) -> References:
        """Who needs which blob."""
        with self._lock:
            return References(self._db, self._lock)

    def close(self) -> None:
        with self._lock:
            if "_db" in vars(self):
                self._db.close()

    # keeping

    def put(self, data: bytes, audience: Audience = NOBODY) -> str:
        """Keep at most `MAX_WHOLE` bytes for `audience` (added to the one they have); their name.

        Raises:
            StorageError: too large, over the quota, or the disk refuses.
        """
        if len(data) > MAX_WHOLE:
            raise StorageError(
                f"a blob of {len(data)} bytes, at most {MAX_WHOLE} are put in one piece",
                cure="put it as a stream or a file",
            )
        if 0 < len(data) <= SMALL:
            return self.put_small((data,), audience)[0]
        with self._lock:
            if self._widen(name := name_of(data), audience):
                return name
        return self.put_stream((data,), audience)

    def put_small(self, pieces: Sequence[bytes], audience: Audience = NOBODY) -> list[str]:
        """Keep blobs of 1 to `SMALL` bytes as `put` does, all or none, at half the cost."""
        audience.check()
        blobs = [(name_of(data), data) for data in pieces]
        with self._lock:
            most = sum(map(len, pieces))
            if self._used + self._reserved + most > self._quota:
                most -= sum(len(data) for name, data in blobs if self._row(name))
            self._make_room(most)
            try:
                with transaction(self._db) if len(blobs) > 1 else nullcontext():
                    added = [self._add(name, data, audience) for name, data in blobs]
            except sqlite3.Error as error:
                raise self._db.refusal(error) from error
            self._used += sum(added)
        return [name for name, _ in blobs]

    def put_file(self, path: Path, audience: Audience = NOBODY) -> str:
        """Keep a copy of a file. Raises StorageError, also when the file cannot be read."""
        try:
            with path.open("rb") as file:
                return self.put_stream(file, audience)
        except OSError as error:
            raise StorageError(f"cannot read: {error.strerror}", where=str(path)) from error

    def put_stream(self, source: Source, audience: Audience = NOBODY) -> str:
        """Keep what a file or an iterator of bytes gives, at most `MAX_BLOB`; its name.

        Holds one chunk in memory. Raises StorageError: too large, over the quota, or the disk.
        """
        audience.check()
        title, draft = self._files.draft()
        size, leaves, small = 0, bytearray(), hashlib.sha256()
        try:
            for piece in pieces_of(source):
                if size + len(piece) > MAX_BLOB:
                    raise StorageError(f"a blob of more than {MAX_BLOB} bytes is not kept")
                self._reserve(len(piece))
                if size == 0:
                    small.update(piece)
                draft.write(size, piece)
                size += len(piece)
                leaves += leaf(piece)
            draft.close()
            if size > CHUNK:
                name, tree = Manifest(size, bytes(leaves)).name, bytes(leaves)
            else:
                name, tree = small.hexdigest(), b""
            with self._lock:
                if not self._widen(name, audience):
                    self._remove(name)  # a partial, or what a crash left
                    self._files.keep(name, title)
                    self._insert(name, size, audience, tree)
        finally:
            draft.close()
            self._files.discard(title)
            with self._lock:
                self._reserved -= size
        return name

    def begin(self, manifest: Manifest) -> Partial:
        """A large blob that is about to be fetched; what an earlier try got is found again.

        End it with `finish` or `pause`. Raises StorageError: no room, or somebody fetches it now.
        """
        name = manifest.name
        with self._lock:
            if name in self._open:
                raise StorageError("that blob is being fetched already", where=name)
            query = "SELECT size FROM partials WHERE name = ?"
            if self._db.execute(query, (name,)).fetchone() is None:
                self._limit_partials()
                self._make_room(manifest.size)
                row = (name, manifest.size, self._clock(), manifest.leaves)
                self._write("INSERT INTO partials VALUES (?, ?, ?, ?)", row)
                self._used += manifest.size
            else:
                self._write("UPDATE partials SET used = ? WHERE name = ?", (self._clock(), name))
            self._open.add(name)
        try:
            return Partial(name, manifest, self._files.partial(name))
        except BaseException:
            with self._lock:
                self._open.discard(name)
            raise

    def finish(self, partial: Partial, audience: Audience = NOBODY) -> None:
        """A partial that misses nothing becomes a blob. Raises StorageError."""
        name, manifest = partial.name, partial.manifest
        if partial.missing():
            raise StorageError("a blob is finished when all its chunks are there", where=name)
        partial.close()
        with self._lock:
            self._open.discard(name)
            if self._widen(name, audience):  # somebody put the same bytes meanwhile
                self._files.discard_partial(name)
            else:
                self._files.keep_partial(name)
                self._insert(name, manifest.size, audience, manifest.leaves)
            self._write("DELETE FROM partials WHERE name = ?", (name,))
            self._used -= manifest.size

    def pause(self, partial: Partial) -> None:
        """Keep what a partial has, for a later `begin`."""
        partial.close()
        with self._lock:
            self._open.discard(partial.name)

    # reading

    def get(self, name: str) -> bytes:
        """The bytes. Raises StorageError: not here, over `MAX_WHOLE`, or damaged on the disk."""
        size = self.size(name)
        if size > MAX_WHOLE:
            raise StorageError(f"a blob of {size} bytes is read in chunks", where=name)
        if size > CHUNK:
            return b"".join(self.chunks(name))
        data = self._bytes(name, size, 0)
        check(name, None, 0, data)
        return data

    def size(self, name: str) -> int:
        """Bytes. Raises StorageError: not here."""
        with self._lock:
            row = self._row(name)
        if row is None:
            raise StorageError("no such blob", where=name)
        return row.size

    def manifest(self, name: str) -> Manifest | None:
        """A large blob's manifest, None for a small one's. Raises StorageError: not here."""
        with self._lock:
            query = "SELECT size, leaves FROM blobs WHERE name = ?"
            row = self._db.execute(query, (name,)).fetchone()
        if row is None:
            raise StorageError("no such blob", where=name)
        return Manifest(row[0], row[1]) if row[0] > CHUNK else None

    def read_chunk(self, name: str, index: int) -> bytes:
        """One chunk as it is on the disk, for those who check it. Raises StorageError."""
        size = self.size(name)
        if not 0 <= index < count_of(size):
            raise StorageError(f"the blob has no chunk {index}", where=name)
        data = self._bytes(name, size, index)
        if len(data) != min(CHUNK, size - index * CHUNK):
            raise damaged(name)
        return data

    def chunks(self, name: str) -> Iterator[bytes]:
        """The chunks in order, each checked. Raises StorageError, on the way too."""
        manifest = self.manifest(name)
        for index in range(manifest.count if manifest else 1):
            data = self.read_chunk(name, index)
            check(name, manifest, index, data)
            yield data

    def copy_to(self, name: str, path: Path) -> None:
        """Write the checked bytes to a file, atomically. Raises StorageError."""
        copy_out(self.chunks(name), path)

    def has(self, name: str) -> bool:
        with self._lock:
            return self._row(name) is not None

    def usage(self) -> tuple[int, int]:
        """How many blobs there are, and their bytes."""
        with self._lock:
            return table.usage(self._db)

    def allows(self, peer: bytes, name: str) -> bool:
        """Whether `peer` (public key) is in the blob's audience."""
        return peer in self.audience(name)

    def audience(self, name: str) -> Audience:
        """Who may fetch a blob; nobody one that is not here."""
        with self._lock:
            row = self._row(name)
        return row.audience if row else NOBODY

    def _bytes(self, name: str, size: int, index: int) -> bytes:
        if size <= SMALL:
            with self._lock:
                row = self._db.execute(table.DATA, (name,)).fetchone()
            if row and row[0]:
                return bytes(row[0])
        return self._files.read(name, index * CHUNK, CHUNK)

    # letting go

    def drop(self, name: str) -> None:
        """Forget a blob; nothing happens when it is not here."""
        with self._lock:
            self._remove(name)

    def gc(self, keep: int = 0) -> int:
        """Let go what nobody needs, until at most `keep` bytes are used; bytes that were freed.

        What is referred to stays, and what was used in the last `fresh` seconds.
        """
        freed = 0
        for name, size in self._files.names():
            with self._lock:
                if not table.names(self._db, name):
                    self._files.delete(name)
                    freed += size
        with self._lock:
            return freed + self._evict(keep)

    # inside; all of it with the lock held

    def _row(self, name: str) -> Row | None:
        row, now = table.find(self._db, name), self._clock()
        if row is not None and row.used < now - _TOUCH:
            self._write("UPDATE blobs SET used = ? WHERE name = ?", (now, name))
        return row

    def _widen(self, name: str, audience: Audience) -> bool:
        """Add to the audience of a blob that is here; whether it is."""
        audience.check()
        row = self._row(name)
        if row is None:
            return False
        wider = audience | row.audience
        if wider != row.audience:
            wider.check()
            query = "UPDATE blobs SET public = ?, devices = ? WHERE name = ?"
            self._write(query, (wider.public, b"".join(sorted(wider.devices)), name))
        return True

    def _add(self, name: str, data: bytes, audience: Audience) -> int:
        """Keep a small blob, or widen its audience; the bytes that it adds."""
        new = table.add_small(self._db, name, data, audience, self._clock())
        return len(data) if new or not self._widen(name, audience) else 0

    def _insert(self, name: str, size: int, audience: Audience, leaves: bytes) -> None:
        devices = b"".join(sorted(audience.devices))
        row = (name, size, audience.public, devices, self._clock(), leaves, b"")
        self._write(table.INSERT, row)
        self._used += size

    def _remove(self, name: str) -> None:
        """The index first: what a crash leaves is a file without a name."""
        if name in self._open:
            return
        for rows in ("blobs", "partials"):
            query = f"DELETE FROM {rows} WHERE name = ? RETURNING size"  # noqa: S608 - of two
            for (size,) in self._write(query, (name,)):
                self._used -= size
        self._files.delete(name)

    def _reserve(self, count: int) -> None:
        with self._lock:
            self._make_room(count)
            self._reserved += count

    def _make_room(self, count: int) -> None:
        left = self._quota - self._reserved - count
        if self._used <= left:
            return
        if self._used - sum(size for _, size in self._unused()) > left:
            raise StorageError(
                f"the blob store is full ({self._used + self._reserved} of {self._quota} bytes)",
                where=str(self._folder or "memory"),
                cure="drop what is not needed or raise the quota",
            )
        self._evict(left)

    def _evict(self, keep: int) -> int:
        before = self._used
        for name, _ in self._unused():
            if self._used <= keep:
                break
            self._remove(name)
        return before - self._used

    def _unused(self) -> list[tuple[str, int]]:
        rows = self._db.execute(table.UNUSED, (self._clock() - self._fresh,)).fetchall()
        return [(name, size) for name, size, _ in rows if name not in self._open]

    def _limit_partials(self) -> None:
        rows = self._db.execute("SELECT name FROM partials ORDER BY used").fetchall()
        idle = [name for (name,) in rows if name not in self._open]
        if len(rows) >= MAX_PARTIALS:
            if not idle:
                raise StorageError(f"{MAX_PARTIALS} blobs are being fetched already")
            self._remove(idle[0])

    def _write(self, query: str, values: tuple[object, ...]) -> list[tuple[int]]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._db.refusal(error) from error
