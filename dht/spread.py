"""Telling all nodes of a small hive what is new: many records in a message, and those alone that a
node lacks.

Where a node knows fewer than k others, all of them are nearest to every key, and nothing has to be
searched for. What its device signs meanwhile shares the next round, as asks of a witness share a
commit. What others showed this device in a letter is kept as if it had been stored here. Guards:
whoever waits for a record waits until its holders have answered or are silent; a copy counts where
a node says that it holds it; what waits is bounded.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht import wire
from pockethive.dht.collect import name, store_all
from pockethive.dht.contact import Contact
from pockethive.dht.methods import MAX_HELD, MAX_LACKS
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.record import Record
from pockethive.dht.store import RecordStore
from pockethive.dht.upkeep import Upkeep

log = logging.getLogger(__name__)

LATER: Final = 0.5  # seconds for which what nobody waits for gathers
_MOST: Final = 1024  # records that wait; beyond, each goes its own way
_ROOM: Final = 8_000  # bytes of records in one message

_Waiting = tuple[Record, "asyncio.Future[int]"]


class Publisher(Protocol):
    """What spreading needs of a server."""

    protocol: HiveProtocol
    storage: RecordStore
    upkeep: Upkeep
    ksize: int

    async def publish(self, record: Record) -> int:
        """Store at the k nearest nodes and here; how many copies there are."""


class Spreading:
    """One node's. Belongs to the loop's thread, but for `keep`."""

    def __init__(self, server: Publisher) -> None:
        self._server, self._protocol = server, server.protocol
        self._storage = server.storage
        self._loop = asyncio.get_running_loop()
        self._due: list[_Waiting] = []
        self._later: list[Record] = []
        self._shown: deque[Record] = deque(maxlen=_MOST)
        self._busy = self._drains = False

    @property
    def small(self) -> bool:
        """Whether this node knows all that there are, and fewer than k."""
        client = self._protocol.transport.client
        return not client and len(self._protocol.router.peers()) < self._server.ksize

    async def spread(self, record: Record) -> int:
        """Store a record here and with its holders; how many copies there are now.

        Raises ProtocolError: the rules of this node refuse it.
        """
        if not self.small or len(self._due) >= _MOST:
            return await self._server.publish(record)
        self._storage.admit(record)
        done: asyncio.Future[int] = self._loop.create_future()
        self._due.append((record, done))
        if not self._busy:
            self._busy = self._protocol.spawn(self._rounds, "pockethive-spread")
            if not self._busy:
                self._due.remove((record, done))
                return await self._server.publish(record)
        return await done

    def soon(self, record: Record) -> bool:
        """The same without waiting for it, in a moment; False where the hive is not small."""
        if not self.small or len(self._later) >= _MOST:
            return False
        self._later.append(record)
        self._shown.append(record)
        if len(self._later) == 1:
            self._loop.call_later(LATER, self._gathered)
        return True

    async def settle(self) -> None:
        """See to what waits now, such as before leaving."""
        records, self._later = self._later, []
        if records:
            await self._offer_all(records)

    def keep(self, record: Record) -> None:
        """Store here what was shown, in a moment. Any thread."""
        self._shown.append(record)
        if not self._drains:
            self._drains = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._loop.call_later, LATER, self.drain)

    def held(self, key: bytes) -> tuple[Record, ...]:
        """The live records under a key that this node itself keeps."""
        self.drain()
        return tuple(record for record in self._storage.live(key) if not record.tombstone)

    def drain(self) -> None:
        """Store what was shown. Nobody is told: whoever signed it does that."""
        self._drains = False
        shown = [self._shown.popleft() for _ in range(len(self._shown))]
        near = [record for record in shown if self._server.upkeep.near(record.key)]
        if near and not self._protocol.transport.inner.is_closing():
            self._storage.join(near)

    # inside

    async def _rounds(self) -> None:
        try:
            while self._due:
                due, self._due = self._due, []
                await self._round(due)
        finally:
            self._busy = False
            for _, done in self._due:
                done.cancel()

    async def _round(self, due: Sequence[_Waiting]) -> None:
        records = [record for record, _ in due]
        try:
            self.drain()
            self._storage.join(records)
            peers = [peer.contact for peer in self._protocol.router.peers()]
            given = await asyncio.gather(*(self._give(peer, records) for peer in peers))
        except BaseException as error:
            for _, done in due:
                if not done.done():
                    done.set_exception(error)
            raise
        for place, (_, done) in enumerate(due):
            if not done.done():
                done.set_result(1 + sum(held[place] for held in given))

    async def _give(self, contact: Contact, records: Sequence[Record]) -> list[bool]:
        """Which of these records a node says that it holds."""
        held: list[bool] = []
        for some in _fitting(records):
            try:
                answer = await self._protocol.call(contact, "hold", [one.encode() for one in some])
                held += [bool(flag) for flag in wire.need(answer, len(some))]
            except NetworkError as error:
                log.debug("copies were not stored: %s", error)
                break
            except ProtocolError:  # it knows no such method
                taken = await store_all(self._protocol, contact, some)
                held += [taken == len(some)] * len(some)
        return [*held, *([False] * (len(records) - len(held)))]

    def _gathered(self) -> None:
        self._protocol.spawn(self.settle, "pockethive-spread")

    async def _offer_all(self, records: Sequence[Record]) -> None:
        self.drain()
        peers = [peer.contact for peer in self._protocol.router.peers()]
        await asyncio.gather(*(self._offer(peer, records) for peer in peers))

    async def _offer(self, contact: Contact, records: Sequence[Record]) -> None:
        """Give a node what it lacks of these records."""
        for begin in range(0, len(records), MAX_LACKS):
            some = records[begin : begin + MAX_LACKS]
            names = b"".join([record.key + name(record) for record in some])
            try:
                flags = wire.need(await self._protocol.call(contact, "lacks", names), len(some))
            except NetworkError as error:
                log.debug("records were not offered: %s", error)
                return
            except ProtocolError:  # it knows no such method
                flags = bytes([1] * len(some))
            missing = [record for record, flag in zip(some, flags, strict=True) if flag]
            await self._give(contact, missing)


def _fitting(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Records in runs that fit into a message each."""
    run: list[Record] = []
    size = 0
    for record in records:
        length = len(record.encode()) + 4
        if run and (size + length > _ROOM or len(run) == MAX_HELD):
            yield run
            run, size = [], 0
        run.append(record)
        size += length
    if run:
        yield run
