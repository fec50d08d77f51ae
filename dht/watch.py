"""Watching a key: holders keep leases and send news, the watcher fetches what it lacks.

Guards: a holder keeps at most `MAX_PER_KEY` watchers of a key, `MAX_PER_PEER` keys of a peer and
`MAX_WATCHERS` in all, the least recently renewed go; who does not confirm news gets no more of it.
A watcher works only while somebody iterates: what comes meanwhile is noted within bounds, beyond
them the key is read anew. News that was lost is found at the next renewal.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht import reasons
from pockethive.dht.collect import Collector, name
from pockethive.dht.contact import Contact
from pockethive.dht.leases import Watchers
from pockethive.dht.lookup import Found
from pockethive.dht.methods import DIGEST_SIZE, split_digests
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.record import Record

LEASE: Final = 120.0  # seconds that a watcher asks for; it renews before half of them are over
MAX_WATCHES: Final = 256  # open on one node
_GATHERED: Final = 0.1  # seconds in which arrivals under a key become one piece of news
_NEWS: Final = 32  # digests in one; of more, the watcher hears at the next renewal
_PENDING: Final = 256  # digests that a watcher notes while nobody iterates
_REREAD: Final = 4  # every so many renewals the k nearest are looked up again


class Herald:
    """A holder's side: tells watchers what arrived. Belongs to the loop's thread."""

    def __init__(self, protocol: HiveProtocol, watchers: Watchers) -> None:
        self._protocol, self._watchers = protocol, watchers
        self._fresh: dict[bytes, list[bytes]] = {}
        self._loop = asyncio.get_running_loop()

    def tell(self, record: Record) -> None:
        """A record was stored here for the first time."""
        key = record.key
        if not self._watchers.of(key, self._loop.time()):
            return
        if key not in self._fresh:
            self._fresh[key] = []
            self._loop.call_later(_GATHERED, self._send, key)
        self._fresh[key].append(name(record))

    def _send(self, key: bytes) -> None:
        digests = b"".join(self._fresh.pop(key)[-_NEWS:])
        for contact in self._watchers.of(key, self._loop.time()):

            async def news(contact: Contact = contact) -> None:
                await self._news(contact, key, digests)

            self._protocol.spawn(news, "pockethive-news")

    async def _news(self, contact: Contact, key: bytes, digests: bytes) -> None:
        # An address that never confirmed anything may be somebody else's: one datagram, no more.
        tries = 2 if self._watchers.confirmed(key, contact.public) else 1
        try:
            answer = await self._protocol.call(contact, "news", key, digests, tries=tries)
        except NetworkError:
            self._watchers.silent(key, contact.public)
            return
        except ProtocolError:
            answer = 0
        if answer == 1:
            self._watchers.confirm(key, contact.public)
        else:
            self._watchers.drop(key, contact.public)


class Reader(Protocol):
    """What a watch needs of a server: to read a key and learn who its holders are."""

    protocol: HiveProtocol

    async def gather(self, collector: Collector, *, careful: bool = False) -> Found:
        """Ask the k nearest to the collector's key, fetch what they have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Wall time (unix seconds), and the jitter of renewals."""

    wall: Callable[[], float]
    random: random.Random


class Watching:
    """The keys that this node watches. Belongs to the loop's thread."""

    def __init__(self, reader: Reader, clocks: Clocks) -> None:
        self._reader, self._clocks = reader, clocks
        self._open: dict[bytes, list[_Watch]] = {}

    async def watch(self, key: bytes, seconds: float) -> AsyncGenerator[Record, None]:
        """Records under a key as they are and as they come, tombstones too, for so many seconds.

        Raises:
            ProtocolError: `MAX_WATCHES` are open.
        """
        if sum(map(len, self._open.values())) >= MAX_WATCHES:
            raise ProtocolError(
                f"{MAX_WATCHES} keys are watched on this node",
                where=reasons.BUSY,
                cure="end some of the loops over Node.watch",
            )
        watch = _Watch(self._reader, self._clocks, key, seconds)
        self._open.setdefault(key, []).append(watch)
        try:
            while watch.lasts():
                await watch.catch_up()
                for record in watch.fresh():
                    yield record
                await watch.rest()
        finally:
            self._open[key].remove(watch)
            if not self._open[key]:
                del self._open[key]
                watch.leave()

    def news(self, asker: Contact, key: bytes, digests: bytes) -> int:
        """A holder says what arrived: 1 while somebody here watches that key. Raises BadEncoding"""
        names = split_digests(digests)
        heard = [watch.hear(asker.public, names) for watch in self._open.get(key, ())]
        return int(any(heard))

    def arrived(self, record: Record) -> None:
        """This node is a holder itself, and got a record."""
        for watch in self._open.get(record.key, ()):
            watch.hear_local()

    def close(self) -> None:
        """The node stops: end all loops."""
        for watch in [watch for watches in self._open.values() for watch in watches]:
            watch.end()


class _Watch:
    """One loop over a key's records."""

    def __init__(self, reader: Reader, clocks: Clocks, key: bytes, seconds: float) -> None:
        self._reader, self._clocks, self._key = reader, clocks, key
        self._protocol = reader.protocol
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + seconds
        self._renewal, self._renewals = 0.0, 0
        self._holders: dict[bytes, Contact] = {}
        self._pending: OrderedDict[bytes, set[bytes]] = OrderedDict()
        self._told: frozenset[bytes] = frozenset()
        self._behind, self._ended = True, False
        self._wake = asyncio.Event()
        self._collector = Collector(self._protocol, key)

    def lasts(self) -> bool:
        return not self._ended and self._loop.time() < self._until

    def hear(self, public: bytes, names: Sequence[bytes]) -> bool:
        """News of a holder; whether it was asked for any."""
        if public not in self._holders:
            return False
        self._pending.setdefault(public, set()).update(names)
        if sum(map(len, self._pending.values())) > _PENDING:
            self._pending.clear()
            self._behind = True
        self._wake.set()
        return True

    def hear_local(self) -> None:
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    def leave(self) -> None:
        """Tell the holders that it is over, if that can still be told."""

        async def bye(contact: Contact) -> None:
            await self._protocol.call(contact, "watch", self._key, 0, tries=1)

        if not self._ended:
            for contact in self._holders.values():
                self._protocol.spawn(partial(bye, contact), "pockethive-unwatch")

    async def rest(self) -> None:
        """Until there is news, a renewal is due, or all is over."""
        until = min(self._until, self._renewal)
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            return

    async def catch_up(self) -> None:
        """Bring what is known up to date: by news, by a renewal, or by reading the key again."""
        self._wake.clear()
        pending, self._pending = self._pending, OrderedDict()
        if not self._behind and self._loop.time() < self._renewal:
            for public, names in pending.items():
                contact = self._holders.get(public)
                if contact is not None:
                    self._collector.heard(contact, b"".join(sorted(names)))
        elif self._behind or not await self._renew():
            self._behind = False
            found = await self._reader.gather(self._collector)
            self._holders = {contact.public: contact for contact in found.contacts}
            self._renewals = 0
            await self._renew()
        await self._collector.fetch_missing()
        for record in self._protocol.storage.live(self._key):
            self._collector.records[name(record)] = record
        now = self._clocks.wall()
        self._collector.forget(lambda record: record.expires > now)

    def fresh(self) -> list[Record]:
        """What is current and was not told yet."""
        current = self._collector.merged
        told, self._told = self._told, frozenset(map(name, current))
        return [record for record in current if name(record) not in told]

    async def _renew(self) -> bool:
        """Ask all holders for a lease; False when they should be looked up again."""
        lease = min(LEASE, max(1.0, self._until - self._loop.time()))
        self._renewal = self._loop.time() + lease * self._clocks.random.uniform(0.35, 0.45)
        self._renewals += 1
        answered = await asyncio.gather(*(self._ask(c, lease) for c in self._holders.values()))
        return bool(answered) and all(answered) and self._renewals < _REREAD

    async def _ask(self, contact: Contact, lease: float) -> bool:
        if self._ended:
            return False
        try:
            answer: Any = await self._protocol.call(contact, "watch", self._key, round(lease))
            self._collector.heard(contact, answer)
        except (NetworkError, ProtocolError):
            return False
        return True


assert _NEWS * DIGEST_SIZE < 1024, "news is one datagram"
