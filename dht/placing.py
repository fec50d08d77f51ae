"""Putting records where they belong: with the k nodes nearest to their key.

Guards: a copy counts where one of the nearest says that it holds it. Who was found nearest to a key
a moment ago, and took a record, is not searched for again: what follows under the key goes straight
to them, and who is nearer and came since is given it by the holders themselves (`handover.py`).
What is remembered of that is bounded and holds no longer than nodes are likely to live.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from pockethive.dht.collect import store_all
from pockethive.dht.contact import Contact
from pockethive.dht.deposit import Deposit
from pockethive.dht.lookup import Closing, Found
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.recent import FRESH
from pockethive.dht.record import Record
from pockethive.dht.settings import NodeSettings
from pockethive.dht.store import RecordStore

_KEYS: Final = 1024  # whose holders are remembered

Give = Callable[[Contact, Sequence[Record]], Awaitable[list[bool]]]
"""Offers records to a node; which of them it says that it holds."""


class Searcher(Protocol):
    """What placing needs of a server."""

    protocol: HiveProtocol
    storage: RecordStore

    @property
    def settings(self) -> NodeSettings:
        """How the node was set up."""

    @property
    def radius(self) -> int:
        """How far keys may be for which this node should be among the k nearest."""

    async def locate(
        self, target: bytes, *, careful: bool = False, closing: Closing | None = None
    ) -> Found:
        """The k nearest to a target."""


class Placing:
    """One node's. Belongs to the loop's thread; times are the loop's."""

    def __init__(self, server: Searcher, give: Give) -> None:
        self._server, self._give = server, give
        self._protocol, self._storage = server.protocol, server.storage
        self._loop = asyncio.get_running_loop()
        self._found: OrderedDict[bytes, tuple[float, tuple[Contact, ...]]] = OrderedDict()

    async def put(self, record: Record) -> int:
        """Store a record here and with its holders; how many copies there are.

        Raises:
            ProtocolError: the record may not be stored, by the rules of this node.
        """
        if not self._storage.add(record):
            return 0
        deposit = Deposit(self._protocol, record)
        closing = deposit.closing(self._server.radius)
        with contextlib.suppress(TimeoutError):  # what is stored by then is what there is
            async with asyncio.timeout(self._server.settings.budget):
                found = await self._server.locate(record.key, closing=closing)
                self._offer_late(found.late, [record])
                await deposit.complete(found.contacts)
                if found.complete and deposit.copies == len(found.contacts):
                    self._note(record.key, found.contacts)
        return 1 + deposit.copies

    async def put_beside(self, record: Record, others: Sequence[Record]) -> int:
        """As `put`, and others of its key go along to its holders; copies of the first.

        Raises:
            ProtocolError: the record may not be stored, by the rules of this node.
        """
        if not self._storage.add(record):
            return 0
        held, together = set[Contact](), [record, *others]

        async def give(contact: Contact) -> None:
            if (await self._give(contact, together))[0]:
                held.add(contact)

        near = self._known(record.key)
        with contextlib.suppress(TimeoutError):  # as above
            async with asyncio.timeout(self._server.settings.budget):
                await asyncio.gather(*map(give, near))
                if not near or len(held) < len(near):
                    found = await self._server.locate(record.key)
                    near = found.contacts
                    self._offer_late(found.late, together)
                    await asyncio.gather(*(give(one) for one in near if one not in held))
        return 1 + len(held.intersection(near))

    def _note(self, key: bytes, contacts: tuple[Contact, ...]) -> None:
        self._found[key] = self._loop.time(), contacts
        self._found.move_to_end(key)
        if len(self._found) > _KEYS:
            self._found.popitem(last=False)

    def _known(self, key: bytes) -> tuple[Contact, ...]:
        at, contacts = self._found.get(key, (0.0, ()))
        return contacts if at >= self._loop.time() - FRESH else ()

    def _offer_late(self, contacts: Sequence[Contact], records: Sequence[Record]) -> None:
        """Who was not waited for may live, and be the nearest."""
        for contact in contacts:

            async def store(contact: Contact = contact) -> None:
                await store_all(self._protocol, contact, records)

            self._protocol.spawn(store, "pockethive-late")
