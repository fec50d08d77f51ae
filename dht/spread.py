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
from pockethive.dht.placing import Placing
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.record import Record
from pockethive.dht.store import RecordStore
from pockethive.dht.upkeep import Upkeep

log = logging.getLogger(__name__)

LATER: Final = 0.5  # seconds for which what nobody waits for gathers
ALONE: Final = 6.0  # seconds after which it is stored by itself where holders are searched for
_MOST: Final = 1024  # records that wait; beyond, each goes its own way
_ROOM: Final = 8_000  # bytes of records in one message

_Waiting = tuple[Record, "asyncio.Future[int]"]


class Publisher(Protocol):
    """What spreading needs of a server."""

    protocol: HiveProtocol
    storage: RecordStore
    upkeep: Upkeep
    placing: Placing
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
        self._alone: dict[bytes, tuple[Record, asyncio.TimerHandle]] = {}  # by digest
        self._shown: deque[Record] = deque(maxlen=_MOST)
        self._busy = self._drains = False

    @property
    def small(self) -> bool:
        """Whether this node knows all that there are, and fewer than k."""
        client = self._protocol.transport.client
        return not client and len(self._protocol.router.peers()) < self._server.ksize

    async def spread_beside(self, record: Record, others: Sequence[Record]) -> int:
        """As `spread`, and records of its key that others signed go along to its holders, who may
        lack them: in a small hive each has said so itself by then. Raises as `spread`.
        """
        if self.small or not others:
            return await self.spread(record)
        return await self._server.placing.put_beside(record, others)

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
        """The same without waiting for it; False where too much waits.

        In a small hive in a moment. In a large one, where its holders have to be searched for,
        after a while, unless `spare` says by then that somebody has brought it along.
        """
        if len(self._later) + len(self._alone) >= _MOST:
            return False
        if not self.small:
            if record.digest in self._alone:
                return True
            timer = self._loop.call_later(ALONE, self._go_alone, record.digest)
            self._alone[record.digest] = record, timer
            return True
        self._later.append(record)
        self._shown.append(record)
        if len(self._later) == 1:
            self._loop.call_later(LATER, self._gathered)
        return True

    def spare(self, digests: Iterable[bytes]) -> None:
        """These records are with their holders: what waits of them need not be stored."""
        for digest in digests:
            if digest in self._alone:
                self._alone.pop(digest)[1].cancel()

    async def settle(self) -> None:
        """See to what waits now, such as before leaving."""
        alone, self._alone = self._alone, {}
        for _, timer in alone.values():
            timer.cancel()
        await asyncio.gather(*(self._store(record) for record, _ in alone.values()))
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
            given = await asyncio.gather(*(self.give(peer, records) for peer in peers))
        except BaseException as error:
            for _, done in due:
                if not done.done():
                    done.set_exception(error)
            raise
        for place, (_, done) in enumerate(due):
            if not done.done():
                done.set_result(1 + sum(held[place] for held in given))

    async def give(self, contact: Contact, records: Sequence[Record]) -> list[bool]:
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

    def _go_alone(self, digest: bytes) -> None:
        record, _ = self._alone.pop(digest)

        async def store() -> None:
            await self._store(record)

        self._protocol.spawn(store, "pockethive-spread")

    async def _store(self, record: Record) -> None:
        try:
            await self.spread(record)
        except (NetworkError, ProtocolError) as error:
            log.debug("a record was not stored: %s", error)

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
            await self.give(contact, missing)


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
