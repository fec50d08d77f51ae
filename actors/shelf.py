"""The shelf: this device's blobs with their labels. Who may fetch which is decided at the door.

Rules guarded here: what is kept twice has the narrower label, and in the store nobody may fetch it
(`egress` decides instead); what is sealed goes to nobody. Labels outlive the process in a file
(`label_file`), so that what others need of a blob's maker is to be had again when it was restarted.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from threading import Lock

from pockethive.actors.label_file import LabelFile
from pockethive.core.errors import StorageError
from pockethive.core.labels import Label, join
from pockethive.dht.blobs import NOBODY, SMALL, BlobStore

__all__ = ["SMALL", "Kept", "Shelf"]

_REMEMBERED = 20_000
_RECENT = 256  # small blobs at hand: what one task made, the next one mostly reads
_SMALL = 4_096  # bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a blob on the shelf: its label, and its bytes by number.

    `sealed`: an answer in a vote; nobody may learn that it is here.
    """

    label: Label
    size: int
    sealed: bool = False


@lru_cache(maxsize=1_024)
def _kept(label: Label, size: int) -> Kept:
    """One object for all blobs of which the same is known."""
    return Kept(label, size)


class Shelf:
    """Keeps blobs in the node's `store`. Any thread."""

    def __init__(self, store: Callable[[], BlobStore]) -> None:
        self._store = store
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._lock = Lock()
        self._recent: OrderedDict[str, bytes] = OrderedDict()
        self._file: LabelFile | None = None

    def remember(self, file: LabelFile) -> None:
        """Know what was kept before, and write down what is from now on. Raises StorageError."""
        with self._lock:
            self._file = file
            for sha, (label, size) in list(file.read().items())[-_REMEMBERED:]:
                self._kept[sha] = Kept(label, size)

    def close(self) -> None:
        """Close the file of labels."""
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            file.close()

    def keep(self, data: bytes, label: Label) -> str:
        """Keep `data`; returns its name as a blob. The narrower label wins when kept twice."""
        sha = self._store().put(data, NOBODY)
        self._name([(sha, label, len(data))])
        self._at_hand({sha: data})
        return sha

    def keep_small(self, blobs: Sequence[tuple[bytes, Label]]) -> list[str]:
        """Keep blobs of at most `SMALL` bytes together, all or none; their names."""
        names = self._store().put_small([data for data, _ in blobs], NOBODY)
        named = list(zip(names, blobs, strict=True))
        self._name([(sha, label, len(data)) for sha, (data, label) in named])
        self._at_hand({sha: data for sha, (data, _) in named})
        return names

    def keep_file(self, path: Path, label: Label) -> str:
        """As `keep`, a file of any size. Raises StorageError."""
        sha = self._store().put_file(path, NOBODY)
        self._name([(sha, label, path.stat().st_size)])
        return sha

    def _name(self, blobs: Sequence[tuple[str, Label, int]]) -> None:
        """Say of blobs that are in the store now who may see them: hash, label, bytes of each."""
        new = []
        with self._lock:
            for sha, label, size in blobs:
                known = self._kept.pop(sha, None)
                made = _kept(label if known is None else join((known.label, label)), size)
                self._kept[sha] = made
                if made != known:
                    new.append((sha, made.label, made.size))
            while len(self._kept) > _REMEMBERED:
                self._kept.popitem(last=False)
            if new and self._file is not None:
                self._file.add(*new)

    def _at_hand(self, blobs: Mapping[str, bytes]) -> None:
        """Remember what is small, for the next task that reads it."""
        with self._lock:
            for sha, data in blobs.items():
                if len(data) <= _SMALL:
                    self._recent[sha] = data
            while len(self._recent) > _RECENT:
                self._recent.popitem(last=False)

    def drop(self, sha: str) -> None:
        """Forget a blob that nobody needs any more."""
        with self._lock:
            self._kept.pop(sha, None)
            self._recent.pop(sha, None)
        self._store().drop(sha)

    def seal(self, data: bytes, label: Label) -> str:
        """Keep `data` for nobody until it is opened, unless it is here in the open already."""
        here = self.kept(sha256(data).hexdigest())
        sha = self.keep(data, label)
        if here is None or here.sealed:
            with self._lock:
                self._kept[sha] = replace(self._kept[sha], sealed=True)
        return sha

    def open(self, sha: str) -> None:
        """From now on the label alone says who may fetch what was sealed."""
        with self._lock:
            if sha in self._kept:
                self._kept[sha] = replace(self._kept[sha], sealed=False)

    def kept(self, sha: str) -> Kept | None:
        """What was said of a blob when it was kept; None: nobody has named its label."""
        with self._lock:
            return self._kept.get(sha)

    def get(self, sha: str) -> bytes | None:
        """The blob, or None when it is not here. Raises StorageError for a damaged one."""
        recent = self._recent.get(sha)
        if recent is not None:
            return recent
        store = self._store()
        try:
            return store.get(sha)
        except StorageError:
            if store.has(sha):
                raise
            return None
