"""Prompts that begin alike are read once.

Few-shot prompts share long beginnings. Each beginning that came twice is kept as a snapshot of the
model's state under its token ids. Rule guarded here: the cache is bounded in bytes, and the least
recently used snapshot goes first.
"""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from pockethive.inference.runtime import Runtime, Snapshot
from pockethive.inference.snapshots import SnapshotFiles

_WORTH_KEEPING = 16  # tokens; below this, reading again is as fast as restoring


class Prefixes:
    """Snapshots by token prefix, for one runtime."""

    def __init__(self, files: SnapshotFiles | None = None, most_bytes: int = 256 << 20) -> None:
        self._files = files
        self._most_bytes = most_bytes
        self._kept: OrderedDict[tuple[int, ...], Snapshot] = OrderedDict()
        self._size = 0
        self._last: tuple[int, ...] = ()

    def prepare(self, runtime: Runtime, ids: Sequence[int]) -> int:
        """Bring `runtime` to the longest known prefix of `ids`; returns its length in tokens.

        At least one token is left to read, because only reading gives logits. Expects the last
        prompt that went through here to be what the runtime's state begins with.
        """
        wanted = tuple(ids[:-1])
        shared = _shared(self._last, wanted)
        known = max((k for k in self._kept if wanted[: len(k)] == k), key=len, default=())
        if shared >= _WORTH_KEEPING and shared > len(known) and runtime.length >= shared:
            known = wanted[:shared]
            self._keep(known, runtime.snapshot(shared))
        self._last = tuple(ids)
        if known in self._kept:
            self._kept.move_to_end(known)
            runtime.restore(self._kept[known])
        else:
            runtime.reset()
        return len(known)

    def remember(self, runtime: Runtime, ids: Sequence[int]) -> int:
        """Know the beginning `ids` from now on; returns how many tokens had to be read for it.

        Kept on disk, too, where there are files: another process then reads nothing.
        """
        known = tuple(ids)
        if known in self._kept or not known:
            return 0
        snapshot = self._files.load(known) if self._files else None
        read = 0
        if snapshot is None:
            start = self.prepare(runtime, known)
            runtime.read(np.array([known[start:]], np.int64))
            snapshot = runtime.snapshot(len(known))
            read = len(known) - start
            if self._files:
                self._files.save(known, snapshot)
        self._keep(known, snapshot)
        return read

    def forget(self) -> None:
        """Drop every snapshot."""
        self._kept.clear()
        self._size, self._last = 0, ()

    def _keep(self, ids: tuple[int, ...], snapshot: Snapshot) -> None:
        if snapshot.size > self._most_bytes:
            return
        self._kept[ids] = snapshot
        self._size += snapshot.size
        while self._size > self._most_bytes:
            self._size -= self._kept.popitem(last=False)[1].size


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    """How many leading tokens two sequences have in common."""
    count = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        count += 1
    return count
