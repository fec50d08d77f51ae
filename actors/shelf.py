"""The shelf: this device's blobs with their labels, and who may fetch which.

Rule guarded here: a blob leaves the device only to peers its label allows. Labels live in memory:
after a restart a blob is served again once somebody with the right to name its label kept it anew.
"""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from pockethive.core.canonical import to_text
from pockethive.core.entry import Member
from pockethive.core.errors import StorageError
from pockethive.core.labels import Label
from pockethive.core.task import DeviceId
from pockethive.dht.blobs import NOBODY, BlobStore

_REMEMBERED = 20_000


class Shelf:
    """Keeps blobs in the node's `store`; `member` tells what is known of a device. Any thread.

    In a private hive `belongs` judges a device by its key; else who introduced itself is in.
    """

    def __init__(
        self,
        store: Callable[[], BlobStore],
        member: Callable[[DeviceId], Member | None],
        belongs: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._store, self._member, self._belongs = store, member, belongs
        self._labels: OrderedDict[str, Label] = OrderedDict()
        self._lock = Lock()

    def keep(self, data: bytes, label: Label) -> str:
        """Keep `data`; returns its name as a blob. The narrower label wins when kept twice."""
        sha = self._store().put(data, NOBODY)
        with self._lock:
            known = self._labels.pop(sha, label)
            self._labels[sha] = min(known, label, key=lambda one: one.width)
            while len(self._labels) > _REMEMBERED:
                self._labels.popitem(last=False)
        return sha

    def get(self, sha: str) -> bytes | None:
        """The blob, or None when it is not here. Raises StorageError for a damaged one."""
        store = self._store()
        try:
            return store.get(sha)
        except StorageError:
            if store.has(sha):
                raise
            return None

    def may_fetch(self, peer: bytes, sha: str) -> bool:
        """Whether a peer may have a blob: anyone a public one, members a hive one, else no one.

        A private hive gives strangers nothing at all.
        """
        with self._lock:
            label = self._labels.get(sha)
        if self._belongs is not None:
            return label in {Label.PUBLIC, Label.HIVE} and self._belongs(peer)
        if label is Label.PUBLIC:
            return True
        return label is Label.HIVE and self._member(DeviceId(to_text(peer))) is not None
