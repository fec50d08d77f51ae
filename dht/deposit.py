"""Storing one record with its holders while they are being searched for.

Guards: a copy counts where one of the k nearest found says that it holds it, and nowhere else; a
copy that was left with somebody who is not among them does no harm, and is rare.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Final

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht import reasons, wire
from pockethive.dht.collect import stored
from pockethive.dht.contact import Contact
from pockethive.dht.eviction import FARTHEST
from pockethive.dht.lookup import Closing, Question
from pockethive.dht.methods import HEAD_SIZE, MAX_HEADS
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.record import KEY_SIZE, Record

_FRAMING: Final = 64  # bytes around a record in a question
_DATAGRAMS: Final = 2  # of the largest record that is left while searching


class Deposit:
    """One record on its way. Belongs to the loop's thread."""

    def __init__(self, protocol: HiveProtocol, record: Record) -> None:
        self._protocol, self._data = protocol, record.encode()
        self._asked: set[Contact] = set()
        self._held: set[Contact] = set()
        self._holders: tuple[Contact, ...] = ()

    @property
    def copies(self) -> int:
        """How many of the holders have it."""
        return sum(contact in self._held for contact in self._holders)

    def closing(self, radius: int) -> Closing | None:
        """The question for a lookup's last steps; `radius` is where its k nearest probably end.

        Measured from 32 to 300 nodes, these bounds leave 1 to 4 copies in a hundred with nodes that
        are not among the k nearest. A record of more than two datagrams is worth a search first.
        """
        if len(self._data) + _FRAMING > _DATAGRAMS * wire.MAX_FRAGMENT:
            return None
        sure = radius if radius == FARTHEST else radius // 2
        return Closing(self._question, sure, radius + radius // 2)

    async def complete(self, contacts: Iterable[Contact]) -> None:
        """Store it with those of the k nearest who were not asked to keep it."""
        self._holders = tuple(contacts)
        rest = (contact for contact in self._holders if contact not in self._asked)
        await asyncio.gather(*(self._store(contact) for contact in rest))

    def _question(self, known: Sequence[Contact], reach: int) -> Question:
        heads = b"".join([each.public[:HEAD_SIZE] for each in known])
        room = -(len(self._data) + _FRAMING) % wire.MAX_FRAGMENT
        if len(heads) > min(MAX_HEADS * HEAD_SIZE, room):
            heads = b""  # everybody is named to us then, and our question takes no datagram more
        bound = min(reach, FARTHEST - 1).to_bytes(KEY_SIZE, "big")
        request = wire.pack_request("deposit", (self._data, bound, heads))

        async def question(contact: Contact) -> list[Contact]:
            self._asked.add(contact)
            answer = await self._protocol.answered(contact, request)
            if not isinstance(answer, list) or len(answer) != 2:
                raise ProtocolError("an answer of another shape", where=reasons.SHAPE)
            if answer[0] == 1:
                self._held.add(contact)
            return self._protocol.contacts(answer[1], contact) if answer[1] else []

        return question

    async def _store(self, contact: Contact) -> None:
        with contextlib.suppress(NetworkError):
            if await stored(self._protocol, contact, self._data):
                self._held.add(contact)
