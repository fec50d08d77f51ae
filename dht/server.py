"""kademlia's Server over sealed datagrams: find nodes, store and collect records, upkeep.

Guards: a read asks all k nearest and merges what verifies; a write counts only real copies; upkeep
can neither prolong a record nor bring an old one back, because storing is a join.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence

import tenacity
from kademlia.network import Server
from kademlia.node import Node as KademliaNode

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht import wire
from pockethive.dht.contact import Contact
from pockethive.dht.eviction import FARTHEST
from pockethive.dht.identity import Identity
from pockethive.dht.lookup import Found, Lookup, Question
from pockethive.dht.methods import DIGEST_SIZE, MAX_DIGESTS
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.reach import Reach
from pockethive.dht.record import Record
from pockethive.dht.routing import Peer, XorRoutingTable
from pockethive.dht.seal import Sealer
from pockethive.dht.settings import NodeSettings
from pockethive.dht.store import RecordStore, merge
from pockethive.dht.transport import normal

log = logging.getLogger(__name__)

JOIN_ATTEMPTS = 3
_FETCH_AT_ONCE = 8  # records asked of one holder at a time
_REPUBLISH_AT_ONCE = 64


class HiveServer(Server):  # type: ignore[misc]  # kademlia ships no types
    """One node's share of the DHT. Belongs to one event loop."""

    protocol: HiveProtocol
    storage: RecordStore
    reach: Reach

    def __init__(self, settings: NodeSettings, identity: Identity, storage: RecordStore) -> None:
        super().__init__(settings.k, settings.alpha, identity.node_id, storage)
        self.node = Peer(Contact(identity.public, *settings.listen))
        self._settings, self._identity = settings, identity
        self._random = random.Random(settings.randbytes(16))  # noqa: S311 - spreads load, no secret

    def _create_protocol(self) -> HiveProtocol:
        settings = self._settings
        sealer = Sealer(self._identity, settings.clock, settings.randbytes)
        protocol = HiveProtocol(self.node, self.storage, sealer, settings)
        self.storage.radius = lambda: _radius(protocol.router, self.node, self.ksize)
        self.reach = Reach(protocol, self._identity, settings)
        return protocol

    def refresh_table(self, interval: int = 3600) -> None:
        """Stock kademlia starts a task here that nobody holds; `upkeep` takes its place."""

    @property
    def settings(self) -> NodeSettings:
        """How this node was set up."""
        return self._settings

    async def bootstrap(self, addrs: Sequence[Contact]) -> int:
        """Meet the network through some contacts; how many answered.

        Raises:
            NetworkError: none did, in `JOIN_ATTEMPTS` rounds.
        """
        contacts = [await self.resolved(contact) for contact in addrs]
        others = [c for c in contacts if c.public != self._identity.public]
        if not others:
            return 0
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(JOIN_ATTEMPTS),
            wait=lambda _: self._random.uniform(0.1, 0.5),
            retry=tenacity.retry_if_exception_type(NetworkError),
            reraise=True,
        )
        answered: int = await retrying(self._greet, others)
        await self.locate(self.node.id)
        return answered

    async def locate(self, target: bytes) -> Found:
        """The k nodes nearest to a 20-byte target that live, this one not among them."""

        async def question(contact: Contact) -> list[Contact]:
            answer = await self.protocol.call(contact, "find_node", target)
            return self.protocol.contacts(answer, contact)

        return await self._lookup(target, question)

    async def publish(self, record: Record) -> int:
        """Store at the k nearest nodes and here; how many copies there are.

        Raises:
            ProtocolError: the record may not be stored, by the rules of this node.
        """
        copies = int(self.storage.add(record))
        if not copies:
            return 0
        found = await self.locate(record.key)
        data = record.encode()
        stored = await asyncio.gather(*(self._store(c, data) for c in found.contacts))
        return copies + sum(stored)

    async def collect(self, key: bytes) -> tuple[Record, ...]:
        """Everything live under a key that the k nearest nodes and this one hold, merged."""
        collector = _Collector(self, key)
        await self._lookup(key, collector.question)
        with contextlib.suppress(TimeoutError):  # what has arrived by then is what there is
            async with asyncio.timeout(self._settings.budget):
                await collector.fetch_missing()
        return merge(collector.records.values())

    async def upkeep(self) -> None:
        """Expire, refresh and republish, for ever. The node runs it as a task."""
        while True:
            await asyncio.sleep(self._settings.upkeep * self._random.uniform(0.5, 1.0))
            try:
                await self._tidy()
            except Exception:
                log.exception("a round of upkeep failed")

    async def _tidy(self) -> None:
        self.storage.sweep()
        for bucket in self.protocol.router.lonely_buckets():
            target = self._random.randint(*bucket.range)
            bucket.last_updated = asyncio.get_running_loop().time()
            await self.locate(target.to_bytes(20, "big"))
        for record in self.storage.older_than(self._settings.republish, _REPUBLISH_AT_ONCE):
            try:
                await self.publish(record)
            except ProtocolError as error:  # it expired meanwhile, or the rules are stricter now
                log.debug("a record is not republished: %s", error)

    async def _lookup(self, target: bytes, question: Question) -> Found:
        near = self.protocol.router.find_neighbors(KademliaNode(target), self.ksize)
        lookup = Lookup(target, self._identity.public, k=self.ksize, alpha=self.alpha)
        start = [peer.contact for peer in near]
        return await lookup.run(start, question, self._settings.budget)

    async def _store(self, contact: Contact, data: bytes) -> bool:
        try:
            return bool(await self.protocol.call(contact, "store", data))
        except (NetworkError, ProtocolError) as error:
            log.debug("a copy was not stored: %s", error)
            return False

    async def _greet(self, contacts: Sequence[Contact]) -> int:
        pings = (self.protocol.call(contact, "ping") for contact in contacts)
        results = await asyncio.gather(*pings, return_exceptions=True)
        answered = sum(not isinstance(result, BaseException) for result in results)
        if not answered:
            raise NetworkError(
                "no known node answered",
                where=", ".join(f"{c.host}:{c.port}" for c in contacts[:4]),
                cure="is it running, reachable, and is its key the one you wrote?",
            )
        return answered

    async def resolved(self, contact: Contact) -> Contact:
        """The contact with its host name replaced by an address. Raises NetworkError."""
        if wire.is_address(contact.host):
            return contact
        try:
            found = await asyncio.get_running_loop().getaddrinfo(contact.host, contact.port)
        except OSError as error:
            raise NetworkError(
                f"cannot find the host: {error.strerror}",
                where=contact.host,
                cure="use its address",
            ) from error
        hosts = [normal(address)[0] for *_, address in found]
        reached = [host for host in hosts if self.protocol.transport.reaches(host)]
        return Contact(contact.public, (reached or hosts)[0], contact.port)


def _radius(router: XorRoutingTable, node: Peer, k: int) -> int:
    """How far keys may be for which this node should be among the k nearest: its k-th neighbour."""
    near = router.find_neighbors(node, k)
    return near[-1].long_id ^ node.long_id if len(near) == k else FARTHEST


class _Collector:
    """Gathers one key's records from its holders: what came along, then the rest by digest."""

    def __init__(self, server: HiveServer, key: bytes) -> None:
        self._server, self._key = server, key
        local = server.storage.live(key)
        self.records = {record.digest[:DIGEST_SIZE]: record for record in local}
        self._holders: dict[Contact, list[bytes]] = {}
        self._refused: set[bytes] = set()
        self._seen: set[bytes] = set()  # encoded records: most holders give the same ones

    async def question(self, contact: Contact) -> list[Contact]:
        """Ask one node, for `Lookup`."""
        answer = await self._server.protocol.call(contact, "find_value", self._key)
        if not isinstance(answer, list) or len(answer) != 3:
            raise ProtocolError("an answer of another shape", where="shape")
        contacts = self._server.protocol.contacts(answer[0], contact)
        digests = wire.need(answer[1], limit=MAX_DIGESTS * DIGEST_SIZE)
        self._holders[contact] = [
            digests[i : i + DIGEST_SIZE] for i in range(0, len(digests), DIGEST_SIZE)
        ]
        self._accept(answer[2])
        return contacts

    async def fetch_missing(self) -> None:
        """Fetch by digest, from all holders at once, until nobody has more that is missing."""
        while True:
            shares: dict[Contact, list[bytes]] = {}
            given: set[bytes] = {*self.records, *self._refused}
            for contact, digests in self._holders.items():
                share = [digest for digest in digests if digest not in given][:_FETCH_AT_ONCE]
                given.update(share)
                if share:
                    shares[contact] = share
            if not shares:
                return
            await asyncio.gather(*(self._fetch(c, share) for c, share in shares.items()))

    async def _fetch(self, contact: Contact, digests: list[bytes]) -> None:
        before = len(self.records) + len(self._refused)
        try:
            answer = await self._server.protocol.call(
                contact, "fetch", self._key, b"".join(digests)
            )
            self._accept(answer)
        except (NetworkError, ProtocolError) as error:
            log.debug("a holder did not hand over records: %s", error)
        if len(self.records) + len(self._refused) == before:
            del self._holders[contact]

    def _accept(self, answer: object) -> None:
        for item in wire.need_list(answer, MAX_DIGESTS):
            data = wire.need(item)
            if data in self._seen:
                continue
            self._seen.add(data)
            record = Record.decode(data)
            digest = record.digest[:DIGEST_SIZE]
            if record.key != self._key or digest in self.records:
                continue
            try:
                self._server.storage.admit(record)
            except ProtocolError as error:
                self._server.protocol.counters.note(error)
                self._refused.add(digest)
                continue
            self.records[digest] = record
