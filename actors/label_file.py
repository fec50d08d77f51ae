"""What a shelf remembers beyond its process: the label and size of every blob it named.

A record is appended with one write: SHA-256, label, size. Guards: what a crash cut short is no
record; of labels that contradict each other the narrower one counts; the file is bounded, and
written anew when it is full.
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pockethive.core.errors import StorageError
from pockethive.core.labels import Label, join

FILE: Final = "labels.bin"
MAX_RECORDS: Final = 40_000
_HEAD: Final = b"pockethive labels 1\n"
_RECORD: Final = struct.Struct(">32sBQ")
_LABELS: Final = (Label.DEVICE, Label.PEOPLE, Label.HIVE, Label.PUBLIC)


class LabelFile:
    """One shelf's. Guarded by the shelf's lock.

    Raises (on construction):
        StorageError: the file cannot be opened, or is no such file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._count = self._adopt()
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._refused(error) from error

    def read(self) -> dict[str, tuple[Label, int]]:
        """Label and size by hash, what was named longest ago first. Raises StorageError."""
        found: dict[str, tuple[Label, int]] = {}
        for sha, label, size in self._records():
            known = found.pop(sha, None)
            found[sha] = (label if known is None else join([known[0], label]), size)
        return found

    def add(self, *blobs: tuple[str, Label, int]) -> None:
        """Remember more: hash, label and size of each. Raises StorageError."""
        try:
            os.write(self._fd, b"".join(map(_packed, blobs)))
        except OSError as error:
            raise self._refused(error) from error
        self._count += len(blobs)
        if self._count >= MAX_RECORDS:
            self._shorten()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _adopt(self) -> int:
        """Make a file where there is none; cut off what a crash left unfinished."""
        if not self._path.exists():
            self._write(_HEAD)
            return 0
        size = self._path.stat().st_size
        with self._path.open("r+b") as file:
            if file.read(len(_HEAD)) != _HEAD:
                raise StorageError(
                    "not a file of labels", where=str(self._path), cure="move it away"
                )
            count, rest = divmod(size - len(_HEAD), _RECORD.size)
            if rest:
                file.truncate(size - rest)
        return count

    def _shorten(self) -> None:
        """One record a blob; half the bound at most, those named last."""
        latest = list(self.read().items())[-MAX_RECORDS // 2 :]
        try:
            records = (_packed((sha, label, size)) for sha, (label, size) in latest)
            self._write(_HEAD + b"".join(records))
            os.close(self._fd)
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise self._refused(error) from error
        self._count = len(latest)

    def _write(self, data: bytes) -> None:
        draft = self._path.with_name(f".{self._path.name}.new")
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        draft.replace(self._path)

    def _records(self) -> Iterator[tuple[str, Label, int]]:
        try:
            data = self._path.read_bytes()[len(_HEAD) :]
        except OSError as error:
            raise self._refused(error) from error
        whole = len(data) - len(data) % _RECORD.size
        for sha, label, size in _RECORD.iter_unpack(data[:whole]):
            if label < len(_LABELS):
                yield sha.hex(), _LABELS[label], size

    def _refused(self, error: OSError) -> StorageError:
        return StorageError(
            f"labels cannot be kept: {error.strerror}",
            where=str(self._path),
            cure="free some space, or use another --home",
        )


def _packed(blob: tuple[str, Label, int]) -> bytes:
    sha, label, size = blob
    return _RECORD.pack(bytes.fromhex(sha), _LABELS.index(label), size)
