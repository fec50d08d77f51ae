"""A large blob that is being fetched, chunk by chunk.

Guards: no mark on the disk says what is already there. What an earlier process wrote is hashed
again before it counts, so neither a crash nor a full disk can leave a wrong chunk in a blob.
"""

import threading

from pockethive.core.errors import ProtocolError
from pockethive.dht.blob_files import Draft
from pockethive.dht.chunks import CHUNK, Bytes, Manifest


class Partial:
    """Chunks of one blob. Threads may write different chunks at a time."""

    def __init__(self, name: str, manifest: Manifest, draft: Draft) -> None:
        self.name, self.manifest = name, manifest
        self._draft, self._lock, self._closed = draft, threading.Lock(), False
        self._have: set[int] = set()

    def recheck(self) -> None:
        """Hash what is there already; takes about a second for a gigabyte. Raises StorageError."""
        for index in range(self.manifest.count):
            with self._lock:
                if self._closed:
                    return  # nobody waits any more
                data = self._draft.read(index * CHUNK, CHUNK)
            try:
                self.manifest.check(index, data)
            except ProtocolError:
                continue
            self._have.add(index)

    def missing(self) -> list[int]:
        """Chunks that are still to come, in order."""
        return [index for index in range(self.manifest.count) if index not in self._have]

    def write(self, index: int, chunk: Bytes) -> None:
        """Check a chunk and keep it; once is enough.

        Raises:
            ProtocolError: these are not its bytes.
            StorageError: the disk refuses.
        """
        if index in self._have:
            return
        self.manifest.check(index, chunk)
        with self._lock:
            if not self._closed:  # the fetch was given up while a thread was here
                self._draft.write(index * CHUNK, chunk)
                self._have.add(index)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._draft.close()
