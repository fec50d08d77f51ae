"""The bytes of blobs: in a folder, or in memory with the same behaviour.

    aa/<name>         a blob, whole             partial/<name>   one that is being fetched
    drafts/<random>   one whose name is not yet known; removed at the next start

Guards: bytes appear under a blob's name by one rename; what a crash leaves is never taken for it.
"""

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from pockethive.core.errors import ProtocolError, StorageError
from pockethive.dht.chunks import CHUNK, Bytes, Manifest, check_small, is_name

Source = BinaryIO | Iterable[Bytes]
"""Where the bytes of a new blob come from: an open binary file, or pieces of any size."""

_DRAFTS: Final = "drafts"
_PARTIAL: Final = "partial"


class Draft(Protocol):
    """Bytes on their way to a name. Threads may write different places at a time."""

    def write(self, offset: int, data: Bytes) -> None:
        """A chunk at its place; nobody may change it afterwards. Raises StorageError."""

    def read(self, offset: int, count: int) -> bytes:
        """A chunk, at most `count` bytes of it; what was never written is empty or zeros.

        Raises StorageError.
        """

    def close(self) -> None:
        """The bytes stay."""


class Files(Protocol):
    """Where whole blobs and drafts are. Any thread."""

    def draft(self) -> tuple[str, Draft]:
        """A new draft and what it is called."""

    def partial(self, name: str) -> Draft:
        """The draft of a blob whose name is known; what an earlier one wrote is still there."""

    def keep(self, name: str, draft: str) -> None:
        """A closed draft becomes the blob, in one step."""

    def keep_partial(self, name: str) -> None:
        """A closed partial becomes the blob, in one step."""

    def read(self, name: str, offset: int, count: int) -> bytes:
        """Raises StorageError: not there, or the disk refuses."""

    def delete(self, name: str) -> None:
        """Blob and partial, whichever is there."""

    def discard(self, draft: str) -> None:
        """A draft that does not become a blob."""

    def discard_partial(self, name: str) -> None:
        """A partial that does not become a blob."""

    def names(self) -> Iterator[tuple[str, int]]:
        """Every file that looks like a blob or a partial: its name and size in bytes."""


class DiskFiles:
    """Blobs in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _disk(folder):
            for path in (folder / _DRAFTS).glob("*"):
                path.unlink(missing_ok=True)

    def draft(self) -> tuple[str, Draft]:
        name = secrets.token_hex(16)
        return name, _DiskDraft(self._folder / _DRAFTS / name)

    def partial(self, name: str) -> Draft:
        return _DiskDraft(self._folder / _PARTIAL / name)

    def keep(self, name: str, draft: str) -> None:
        self._place(self._folder / _DRAFTS / draft, name)

    def keep_partial(self, name: str) -> None:
        self._place(self._folder / _PARTIAL / name, name)

    def read(self, name: str, offset: int, count: int) -> bytes:
        try:
            handle = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                return _read(handle, offset, count)
            finally:
                os.close(handle)
        except OSError as error:
            raise StorageError(f"cannot read the blob: {error.strerror}", where=name) from error

    def delete(self, name: str) -> None:
        if is_name(name):
            self._path(name).unlink(missing_ok=True)
            self.discard_partial(name)

    def discard(self, draft: str) -> None:
        (self._folder / _DRAFTS / draft).unlink(missing_ok=True)

    def discard_partial(self, name: str) -> None:
        (self._folder / _PARTIAL / name).unlink(missing_ok=True)

    def names(self) -> Iterator[tuple[str, int]]:
        for path in self._folder.glob("*/*"):
            if is_name(path.name):
                with contextlib.suppress(FileNotFoundError):  # dropped in this moment
                    yield path.name, path.stat().st_size

    def _place(self, draft: Path, name: str) -> None:
        path = self._path(name)
        with _disk(self._folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.replace(path)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name


class MemoryFiles:
    """Blobs of a node without a home."""

    def __init__(self) -> None:
        self._whole: dict[str, _MemoryDraft] = {}
        self._drafts: dict[str, _MemoryDraft] = {}

    def draft(self) -> tuple[str, Draft]:
        name = secrets.token_hex(16)
        self._drafts[name] = draft = _MemoryDraft()
        return name, draft

    def partial(self, name: str) -> Draft:
        return self._drafts.setdefault(name, _MemoryDraft())

    def keep(self, name: str, draft: str) -> None:
        self._whole[name] = self._drafts.pop(draft)

    def keep_partial(self, name: str) -> None:
        self.keep(name, name)

    def read(self, name: str, offset: int, count: int) -> bytes:
        blob = self._whole.get(name)
        if blob is None:
            raise StorageError("no such blob", where=name)
        return blob.read(offset, count)

    def delete(self, name: str) -> None:
        self._whole.pop(name, None)
        self._drafts.pop(name, None)

    def discard(self, draft: str) -> None:
        self._drafts.pop(draft, None)

    def discard_partial(self, name: str) -> None:
        self._drafts.pop(name, None)

    def names(self) -> Iterator[tuple[str, int]]:
        for name, blob in list(self._whole.items()):
            yield name, sum(map(len, blob.chunks.values()))


class _DiskDraft:
    def __init__(self, path: Path) -> None:
        self._path, self._handle = path, -1
        with _disk(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, offset: int, data: Bytes) -> None:
        with _disk(self._path), memoryview(data) as view:
            done = 0
            while done < len(view):
                done += os.pwrite(self._handle, view[done:], offset + done)

    def read(self, offset: int, count: int) -> bytes:
        with _disk(self._path):
            return _read(self._handle, offset, count)

    def close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


class _MemoryDraft:
    """Keeps the chunks that it is given, without a copy: nobody writes into them any more."""

    def __init__(self) -> None:
        self.chunks: dict[int, Bytes] = {}

    def write(self, offset: int, data: Bytes) -> None:
        assert offset % CHUNK == 0, "what is written is a chunk"
        self.chunks[offset // CHUNK] = data

    def read(self, offset: int, count: int) -> bytes:
        assert offset % CHUNK == 0, "what is read is a chunk"
        return bytes(memoryview(self.chunks.get(offset // CHUNK, b""))[:count])

    def close(self) -> None:
        """Nothing is open."""


def pieces_of(source: Source, size: int = CHUNK) -> Iterator[Bytes]:
    """The bytes of a source in pieces of `size`, the last one shorter, none of them empty."""
    if not isinstance(source, Iterable) or hasattr(source, "read"):
        while piece := source.read(size):  # a raw file may give less than it is asked for
            while len(piece) < size and (more := source.read(size - len(piece))):
                piece += more
            yield piece
        return
    held = bytearray()
    for data in source:
        with memoryview(data) as view:
            start = 0
            while start < len(view):
                taken = view[start : start + size - len(held)]
                start += len(taken)
                held += taken
                if len(held) == size:
                    yield bytes(held)
                    held.clear()
    if held:
        yield bytes(held)


def copy_out(pieces: Iterable[Bytes], path: Path) -> None:
    """Write pieces to a file, atomically. Raises StorageError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with _disk(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def _read(handle: int, offset: int, count: int) -> bytes:
    data = os.pread(handle, count, offset)
    while len(data) < count and (more := os.pread(handle, count - len(data), offset + len(data))):
        data += more
    return data


@contextlib.contextmanager
def _disk(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot write a blob: {error.strerror}",
            where=str(where),
            cure="free some space, or choose another home folder",
        ) from error


def check(name: str, manifest: Manifest | None, index: int, data: bytes) -> None:
    """Raises StorageError when the disk gave other bytes than were kept."""
    try:
        if manifest:
            manifest.check(index, data)
        else:
            check_small(name, data)
    except ProtocolError as error:
        raise damaged(name) from error


def damaged(name: str) -> StorageError:
    """What to say of a blob whose bytes are not those that were kept."""
    return StorageError("the blob is damaged", where=name, cure="drop it and fetch it again")
