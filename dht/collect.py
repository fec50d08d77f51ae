"""Gathering one key's records from its holders, and who of them lacks what the others hold.

Guards: every record is verified before it counts, is stored here or is passed on; a holder that
does not hand over what it claims to hold is asked no more.
"""

import asyncio
import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht import reasons, wire
from pockethive.dht.contact import Contact
from pockethive.dht.merge import merge
from pockethive.dht.methods import DIGEST_SIZE, MAX_DIGESTS, split_digests
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.record import Record

log = logging.getLogger(__name__)

_FETCH_AT_ONCE: Final = 8  # records asked of one holder with one question
_QUESTIONS: Final = 6  # of them to one holder at a time
_SILENCES: Final = 3  # questions of one read that a holder may leave unanswered
_PAGES: Final = 4  # of names that are read: more than any rules keep under a key
_MOST: Final = 4096  # digests and answers remembered, of a key that is watched for days


class Collector:
    """What came along with the answers, then the rest by digest. Belongs to the loop's thread.

    With `offering` each holder is told what is here already: it sends only what else it holds, and
    takes what is offered for republished.
    """

    def __init__(
        self,
        protocol: HiveProtocol,
        key: bytes,
        known: Iterable[Record] = (),
        *,
        offering: bool = False,
    ) -> None:
        self._protocol, self.key = protocol, key
        self.records = {name(record): record for record in known}
        self.had_some = bool(self.records)
        self.reported: dict[Contact, frozenset[bytes]] = {}
        self._silences: Counter[Contact] = Counter()
        self._cut: set[Contact] = set()  # who has not named everything that it holds
        self._offer = b"".join(self.records)[: MAX_DIGESTS * DIGEST_SIZE] if offering else None
        self._holders: dict[Contact, frozenset[bytes]] = {}
        self._useless: set[bytes] = set()  # refused by our rules, or outranked by what we have
        self._seen: set[bytes] = set()  # encoded records: most holders give the same ones
        self._most: int | None = None  # records that are wanted in all

    @property
    def merged(self) -> tuple[Record, ...]:
        """Everything gathered, as a store would join it; best rank first."""
        return merge(self.records.values())

    def limit(self, most: int, known: Iterable[bytes]) -> None:
        """Fetch no more than `most` records beside those had, and none that is `known` by name.

        Which ones follows from this node's own id, so that each node knows others.
        """
        self._most = len(self.records) + most
        self._useless.update(known)

    @property
    def more(self) -> bool:
        """Whether a holder named records that were not fetched."""
        had = self.records.keys() | self._useless
        return any(held - had for held in self.reported.values())

    async def question(self, contact: Contact) -> list[Contact]:
        """Ask one node, for `Lookup`."""
        call = self._protocol.call
        if self._offer is None:
            answer = await call(contact, "find_value", self.key)
        else:
            answer = await call(contact, "offer", self.key, self._offer)
        if not isinstance(answer, list) or len(answer) != 3:
            raise ProtocolError("an answer of another shape", where=reasons.SHAPE)
        self.heard(contact, answer[1])
        self._accept(answer[2])
        return self._protocol.contacts(answer[0], contact)

    def heard(self, contact: Contact, digests: object) -> None:
        """Note what a node says that it holds. Raises BadEncoding."""
        names = split_digests(digests)
        self._holders[contact] = self.reported[contact] = frozenset(names)
        (self._cut.add if len(names) == MAX_DIGESTS else self._cut.discard)(contact)

    async def fetch_missing(self) -> None:
        """Fetch by digest, from all holders at once, until nobody has more that is missing."""
        cut = [contact for contact in self._holders if contact in self._cut]
        await asyncio.gather(*(self._name_rest(contact) for contact in cut))
        asked: set[bytes] = set()
        while any(self._missing(contact, asked) for contact in self._holders):
            workers = [contact for contact in self._holders for _ in range(_QUESTIONS)]
            await asyncio.gather(*(self._fetch_all(contact, asked) for contact in workers))

    async def _name_rest(self, contact: Contact) -> None:
        """Ask a holder of more than one answer names for all names."""
        names, after = set(self._holders[contact]), b""
        for _ in range(_PAGES):
            try:
                answer = await self._protocol.call(contact, "names", self.key, after, tries=3)
                page = split_digests(answer)
            except (NetworkError, ProtocolError) as error:
                log.debug("a holder did not name all of its records: %s", error)
                break
            names.update(page)
            if len(page) < MAX_DIGESTS:
                self._cut.discard(contact)
                break
            if page[-1] <= after:
                break
            after = page[-1]
        self._holders[contact] = self.reported[contact] = frozenset(names)

    async def _fetch_all(self, contact: Contact, asked: set[bytes]) -> None:
        """One question after another to a holder, for what nobody is being asked for."""
        while share := self._missing(contact, asked)[:_FETCH_AT_ONCE]:
            asked.update(share)
            try:
                await self._fetch(contact, share)
            finally:
                asked.difference_update(share)

    def _missing(self, contact: Contact, asked: set[bytes]) -> list[bytes]:
        if self._protocol.transport.inner.is_closing():
            return []
        held = self._holders.get(contact, frozenset())
        names = sorted(held - self.records.keys() - self._useless - asked)
        if self._most is None:
            return names
        at = bisect_left(names, self._protocol.source.id[:DIGEST_SIZE])
        room = max(0, self._most - len(self.records) - len(asked))
        return [*names[at:], *names[:at]][:room]

    def lacking(self, contacts: Iterable[Contact]) -> dict[Contact, list[Record]]:
        """What each of these nodes did not report of what is merged now."""
        merged = self.merged
        short = {}
        for contact in contacts:
            held = self.reported.get(contact)
            if held is not None and contact not in self._cut:
                missing = [record for record in merged if name(record) not in held]
                if missing:
                    short[contact] = missing
        return short

    def forget(self, useful: Callable[[Record], bool]) -> None:
        """Drop what is outranked or no longer useful, for collectors that live long."""
        kept = {name(record): record for record in self.merged if useful(record)}
        self._useless |= self.records.keys() - kept.keys()
        if len(self._useless) > _MOST:
            self._useless.clear()
        self.records = kept
        self._seen.clear()
        self._holders.clear()
        self._silences.clear()

    async def _fetch(self, contact: Contact, digests: list[bytes]) -> None:
        before = len(self.records) + len(self._useless)
        silent = False
        try:
            answer = await self._protocol.call(contact, "fetch", self.key, b"".join(digests))
            self._accept(answer)
        except (NetworkError, ProtocolError) as error:
            silent = isinstance(error, NetworkError)
            log.debug("a holder did not hand over records: %s", error)
        if len(self.records) + len(self._useless) > before:
            return
        self._silences[contact] += silent  # an answer of six datagrams is easily lost
        if not silent or self._silences[contact] >= _SILENCES:
            self._holders.pop(contact, None)

    def _accept(self, answer: object) -> None:
        for item in wire.need_list(answer, MAX_DIGESTS):
            data = wire.need(item)
            if data in self._seen:
                continue
            self._seen.add(data)
            record = Record.decode(data)
            digest = name(record)
            if record.key != self.key or digest in self.records:
                continue
            try:
                self._protocol.storage.admit(record)
            except ProtocolError as error:
                self._protocol.counters.note(error)
                self._useless.add(digest)
                continue
            self.records[digest] = record


def name(record: Record) -> bytes:
    """What a record is called between holders: the head of its digest."""
    return record.digest[:DIGEST_SIZE]


async def stored(protocol: HiveProtocol, contact: Contact, data: bytes) -> bool:
    """Store an encoded record at a node; whether it holds it now. Raises NetworkError: silence."""
    try:
        answer: Any = await protocol.call(contact, "store", data)
    except ProtocolError as error:
        log.debug("a copy was refused: %s", error)
        return False
    return bool(answer)


async def store_all(protocol: HiveProtocol, contact: Contact, records: Iterable[Record]) -> int:
    """Store records at a node one after another until it is silent; how many it took."""
    taken = 0
    for record in records:
        try:
            taken += await stored(protocol, contact, record.encode())
        except NetworkError as error:
            log.debug("copies were not stored: %s", error)
            break
    return taken
