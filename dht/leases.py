"""Who watches which key at a holder. Pure: `now` is an argument, seconds on the loop's clock.

Guards: watchers are bounded for each key, for each peer and in all; the least recently renewed go.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from pockethive.dht.contact import Contact

MAX_WATCHERS: Final = 1024
MAX_PER_KEY: Final = 64
MAX_PER_PEER: Final = 64
LONGEST: Final = 300.0  # seconds
_SILENCES: Final = 2


@dataclass(slots=True)
class _Lease:
    contact: Contact
    until: float
    confirmed: bool = False  # it answered news at this address
    silences: int = 0


class Watchers:
    """Leases by key and by peer, the least recently renewed first. One thread."""

    def __init__(self) -> None:
        self._keys: dict[bytes, OrderedDict[bytes, _Lease]] = {}
        self._peers: dict[bytes, OrderedDict[bytes, None]] = {}
        self._order: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._order)

    def renew(self, key: bytes, contact: Contact, seconds: float, now: float) -> None:
        """Grant a lease of at most `LONGEST` seconds; no seconds end it."""
        held = self._lease(key, contact.public)
        self.drop(key, contact.public)
        if seconds <= 0:
            return
        lease = _Lease(contact, now + min(seconds, LONGEST))
        if held is not None and held.contact == contact:
            lease.confirmed = held.confirmed
        self._keys.setdefault(key, OrderedDict())[contact.public] = lease
        self._peers.setdefault(contact.public, OrderedDict())[key] = None
        self._order[key, contact.public] = None
        if len(self._keys[key]) > MAX_PER_KEY:
            self.drop(key, next(iter(self._keys[key])))
        if len(self._peers[contact.public]) > MAX_PER_PEER:
            self.drop(next(iter(self._peers[contact.public])), contact.public)
        if len(self._order) > MAX_WATCHERS:
            self.drop(*next(iter(self._order)))

    def drop(self, key: bytes, public: bytes) -> None:
        """End a lease, if there is one."""
        if (key, public) not in self._order:
            return
        del self._order[key, public]
        del self._keys[key][public], self._peers[public][key]
        if not self._keys[key]:
            del self._keys[key]
        if not self._peers[public]:
            del self._peers[public]

    def of(self, key: bytes, now: float) -> list[Contact]:
        """Who watches a key now."""
        leases = self._keys.get(key)
        if not leases:
            return []
        for public in [public for public, lease in leases.items() if lease.until <= now]:
            self.drop(key, public)
        return [lease.contact for lease in leases.values()]

    def confirmed(self, key: bytes, public: bytes) -> bool:
        """Whether a watcher ever answered news at its address."""
        lease = self._lease(key, public)
        return lease is not None and lease.confirmed

    def confirm(self, key: bytes, public: bytes) -> None:
        """A watcher answered news."""
        lease = self._lease(key, public)
        if lease is not None:
            lease.confirmed, lease.silences = True, 0

    def silent(self, key: bytes, public: bytes) -> None:
        """A watcher did not answer; who never did is dropped at once, others at the second time."""
        lease = self._lease(key, public)
        if lease is None:
            return
        lease.silences += 1
        if not lease.confirmed or lease.silences >= _SILENCES:
            self.drop(key, public)

    def _lease(self, key: bytes, public: bytes) -> _Lease | None:
        leases = self._keys.get(key)
        return None if leases is None else leases.get(public)
