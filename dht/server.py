"""kademlia's Server over sealed datagrams: find nodes, store and collect records.

Guards: a read asks all k nearest, merges what verifies and repairs who lacks it; a write counts
only real copies; every operation ends within its budget, whatever peers do.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import tenacity
from kademlia.network import Server

from pockethive.core.errors import NetworkError, ProtocolError, WrongClock
from pockethive.dht import wire
from pockethive.dht.collect import Collector
from pockethive.dht.contact import Contact
from pockethive.dht.disjoint import PATHS, together, walk_apart
from pockethive.dht.eviction import FARTHEST
from pockethive.dht.handover import KEY_BITS, HandOver
from pockethive.dht.identity import Identity, node_id
from pockethive.dht.lookup import PATIENCE, Closing, Found, Lookup, Question
from pockethive.dht.placing import Placing
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.reach import Reach
from pockethive.dht.record import Record
from pockethive.dht.routing import Peer, XorRoutingTable
from pockethive.dht.seal import Sealer
from pockethive.dht.settings import NodeSettings
from pockethive.dht.spread import Spreading
from pockethive.dht.store import RecordStore
from pockethive.dht.transport import normal
from pockethive.dht.upkeep import Repairs, Upkeep
from pockethive.dht.watch import Clocks, Herald, Watching

log = logging.getLogger(__name__)

JOIN_ATTEMPTS = 3
_INTRODUCTIONS = 6  # lookups beyond the one for our own id; one or two are usual
_REQUEST_TRIES = 16  # ever more slowly; the caller's time limit ends them
_LOOKUP_SHARE = 0.7  # of an operation's budget; the rest is for what it is done for
_JOIN_SHARE = 3.0  # budgets that joining may take: several greetings and a lookup


class NoSuchHost(NetworkError):
    """A host name that has no address here."""


class HiveServer(Server):  # type: ignore[misc]  # kademlia ships no types
    """One node's share of the DHT. Belongs to one event loop."""

    protocol: HiveProtocol
    storage: RecordStore
    reach: Reach
    upkeep: Upkeep
    watching: Watching
    spreading: Spreading
    placing: Placing

    def __init__(self, settings: NodeSettings, identity: Identity, storage: RecordStore) -> None:
        super().__init__(settings.k, settings.alpha, identity.node_id, storage)
        self.node = Peer(Contact(identity.public, *settings.listen))
        self._settings, self._identity = settings, identity

    def _create_protocol(self) -> HiveProtocol:
        settings = self._settings
        sealer = Sealer(self._identity, settings.clock, settings.randbytes)
        made = HiveProtocol(self.node, self.storage, sealer, settings)
        self.protocol = made
        self.reach = Reach(made, self._identity, settings)
        self.upkeep = Upkeep(self, settings, self.node.contact)
        self.watching = Watching(self, Clocks(wall=settings.clock, random=made.random))
        self.spreading = Spreading(self)
        self.placing = Placing(self, self.spreading.give)
        made.methods.before_looking = self.spreading.drain
        self._repairs, self._hand_over = Repairs(made), HandOver(made)
        made.methods.news = self.watching.news
        herald = Herald(made, made.methods.watchers)

        def arrived(record: Record) -> None:
            herald.tell(record)
            self.watching.arrived(record)

        self.storage.arrived = arrived
        self.storage.radius = lambda: self.radius
        return made

    def refresh_table(self, interval: int = 3600) -> None:
        """Stock kademlia starts a task here that nobody holds; `upkeep` takes its place."""

    @property
    def radius(self) -> int:
        """How far keys may be for which this node should be among the k nearest."""
        return _radius(self.protocol.router, self.node, self.ksize)

    @property
    def settings(self) -> NodeSettings:
        """How this node was set up."""
        return self._settings

    async def bootstrap(self, addrs: Sequence[Contact]) -> int:
        """Meet the network through some contacts; how many answered.

        Raises:
            NetworkError: none did, in `JOIN_ATTEMPTS` rounds.
        """
        try:
            async with asyncio.timeout(self._settings.budget * _JOIN_SHARE):
                return await self._meet(addrs)
        except TimeoutError as error:
            raise NetworkError("joining took too long", cure="is the network up?") from error

    async def _meet(self, addrs: Sequence[Contact]) -> int:
        answered = await self.greet(addrs)
        if answered:
            found = await self.locate(self.node.id)
            if len(found.contacts) == self.ksize:
                self.protocol.spawn(lambda: self._introduce(found), "pockethive-introduction")
        return answered

    async def greet(self, addrs: Sequence[Contact]) -> int:
        """Be answered by some contacts; how many had answered when the others were late.

        Raises:
            NetworkError: none did, in `JOIN_ATTEMPTS` rounds.
        """
        others = [contact for contact in addrs if contact.public != self._identity.public]
        if not others:
            return 0
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(JOIN_ATTEMPTS),
            wait=lambda _: self.protocol.random.uniform(0.1, 0.5),
            retry=tenacity.retry_if_exception_type(NetworkError),
            reraise=True,
        )
        answered: int = await retrying(self._greet, others)
        return answered

    async def _introduce(self, neighbours: Found) -> None:
        """Be known to whoever holds records that are now ours too, besides the k neighbours.

        These are the nodes that part from our id at the same bit as the farthest neighbour, and at
        each bit before it as long as there are fewer than k of them.
        """
        own, goal = self.node.long_id, neighbours.contacts[-1]
        bit = (Peer(goal).long_id ^ own).bit_length() - 1
        for apart in range(bit, min(bit + _INTRODUCTIONS, KEY_BITS)):
            target = own ^ 1 << apart
            found = await self.locate(target.to_bytes(KEY_BITS // 8, "big"))
            there = [c for c in found.contacts if Peer(c).long_id >> apart == target >> apart]
            if len(there) >= self.ksize:
                return

    async def locate(
        self, target: bytes, *, careful: bool = False, closing: Closing | None = None
    ) -> Found:
        """The k nodes nearest to a 20-byte target that live, this one not among them."""
        search = self._searching(target)
        return await self._lookup(target, search, careful=careful, closing=closing)

    def _searching(self, target: bytes) -> Question:
        async def question(contact: Contact) -> list[Contact]:
            answer = await self.protocol.call(contact, "find_node", target)
            return self.protocol.contacts(answer, contact)

        return question

    def known(self, public: bytes) -> Contact | None:
        """Where a device is, if it is in the routing table or was heard a moment ago."""
        return self.protocol.router.contact(public)

    async def find(self, public: bytes, *, careful: bool = False) -> Contact | None:
        """Where a device is, by a lookup that ends once it has answered itself."""
        met: asyncio.Future[Contact] = asyncio.get_running_loop().create_future()
        search = self._searching(node_id(public))

        async def question(contact: Contact) -> list[Contact]:
            named = await search(contact)
            if contact.public == public and not met.done():
                met.set_result(contact)
            return named

        looking = asyncio.ensure_future(self._lookup(node_id(public), question, careful=careful))
        try:
            await asyncio.wait((looking, met), return_when=asyncio.FIRST_COMPLETED)
        finally:
            looking.cancel()
            await asyncio.wait((looking,))
        if met.done():
            return met.result()
        found = looking.result()
        heard = self.protocol.proofs.addresses(public)  # a client is in no table
        contacts = (*found.contacts, *(Contact(public, *address) for address in heard))
        return next((c for c in contacts if c.public == public), None)

    async def ask(
        self,
        peer: Contact | bytes,
        method: str,
        body: bytes,
        timeout: float,  # noqa: ASYNC109 - it also decides when to send again
    ) -> Any:
        """A direct request's answer, found and had within `timeout` seconds."""
        until = asyncio.get_running_loop().time() + timeout
        contact = await self._dialled(peer, timeout)
        left = max(0.0, until - asyncio.get_running_loop().time())
        return await self.protocol.call(
            contact, "ask", method, body, timeout=left, tries=_REQUEST_TRIES
        )

    async def _dialled(self, peer: Contact | bytes, seconds: float) -> Contact:
        """Where to send to, found within so many seconds. Raises NetworkError."""
        try:
            async with asyncio.timeout(seconds):
                if isinstance(peer, Contact):
                    return await self.resolved(peer)
                contact = self.known(peer) or await self.find(peer)
        except TimeoutError as error:
            raise NetworkError("finding that device took too long") from error
        if contact is None:
            raise NetworkError("no node knows that device", cure="is it running and joined?")
        return contact

    async def publish(self, record: Record) -> int:
        """Store at the k nearest nodes and here; how many copies there are.

        Raises:
            ProtocolError: the record may not be stored, by the rules of this node.
        """
        return await self.placing.put(record)

    async def collect(
        self, key: bytes, *, careful: bool = False, nearest: int | None = None
    ) -> tuple[Record, ...]:
        """Everything live under a key that the k nearest nodes and this one hold, merged.

        Holders that lacked some of it are given it afterwards. `careful` walks disjoint paths;
        `nearest` asks so many of the k only.

        Raises:
            NetworkError: this node was stopped meanwhile.
        """
        collector = Collector(self.protocol, key, self.storage.live(key))
        return await self._collected(collector, careful=careful, nearest=nearest)

    async def collect_some(
        self, key: bytes, most: int, known: Iterable[bytes]
    ) -> tuple[tuple[Record, ...], bool]:
        """As `collect`, but at most so many that are not here nor `known` by their names; whether
        there are more."""
        collector = Collector(self.protocol, key, self.storage.live(key))
        collector.limit(most, known)
        return await self._collected(collector), collector.more

    async def _collected(
        self, collector: Collector, *, careful: bool = False, nearest: int | None = None
    ) -> tuple[Record, ...]:
        found = await self.gather(collector, careful=careful, nearest=nearest)
        if self.protocol.transport.inner.is_closing():
            raise NetworkError("this node was stopped while it read")
        merged = collector.merged
        if merged and found.complete:
            if collector.had_some or self.upkeep.near(collector.key):
                self.storage.join(merged)
            self._repairs.repair(collector.lacking(found.contacts))
        return merged

    async def gather(
        self, collector: Collector, *, careful: bool = False, nearest: int | None = None
    ) -> Found:
        """Ask the k nearest to the collector's key, or fewer, and fetch what they have."""
        until = asyncio.get_running_loop().time() + self._settings.budget
        key, question = collector.key, collector.question
        found = await self._lookup(key, question, careful=careful, nearest=nearest)
        with contextlib.suppress(TimeoutError):  # what has arrived by then is what there is
            async with asyncio.timeout_at(until):
                await collector.fetch_missing()
        return found

    def close(self) -> list["asyncio.Task[None]"]:
        """End all loops over watched keys and close the socket; the tasks being cancelled."""
        self.watching.close()
        return self.protocol.stop()

    async def _lookup(
        self,
        target: bytes,
        question: Question,
        *,
        careful: bool = False,
        closing: Closing | None = None,
        nearest: int | None = None,
    ) -> Found:
        paths = PATHS if careful else 1
        # More than k: those behind are asked only when those before them are dead.
        start = self.protocol.router.start(target, self.ksize * PATHS)
        budget = self._settings.budget * _LOOKUP_SHARE
        taken = set[bytes]() if careful else None
        lookups = [
            Lookup(
                target,
                self._identity.public,
                k=nearest or self.ksize,
                alpha=self.alpha,
                taken=taken,
                late=self._let_finish,
                closing=closing,
            )
            for _ in range(paths)
        ]
        return together(target, await walk_apart(lookups, start, question, budget), self.ksize)

    def _let_finish(self, probes: Sequence["asyncio.Task[Any]"]) -> None:
        if not probes:
            return

        async def finish() -> None:
            await asyncio.gather(*probes)

        if not self.protocol.spawn(finish, "pockethive-late"):
            for probe in probes:
                probe.cancel()

    async def _greet(self, contacts: Sequence[Contact]) -> int:
        """Ping them all; how many had answered when the others were late, who are met when they do.

        Raises:
            NetworkError: nobody answered.
        """
        pings = [asyncio.ensure_future(self._ping(contact)) for contact in contacts]
        waiting, answered, silent = set(pings), 0, list[NetworkError | ProtocolError]()
        try:
            while waiting:
                patience = PATIENCE if answered else None
                done, waiting = await asyncio.wait(
                    waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
                found = [ping.result() for ping in done]
                answered += found.count(None)
                silent += filter(None, found)
        except BaseException:
            for ping in pings:
                ping.cancel()
            await asyncio.gather(*pings, return_exceptions=True)
            raise
        self._let_finish(list(waiting))
        if not answered:
            raise _nobody(contacts, silent)
        return answered

    async def _ping(self, contact: Contact) -> NetworkError | ProtocolError | None:
        """Why it does not answer, if it does not."""
        try:
            await self.protocol.call(await self.resolved(contact), "ping")
        except (NetworkError, ProtocolError) as error:
            return error
        return None

    async def resolved(self, contact: Contact) -> Contact:
        """The contact with its host name replaced by an address. Raises NoSuchHost."""
        if wire.is_address(contact.host):
            return contact
        try:
            found = await asyncio.get_running_loop().getaddrinfo(contact.host, contact.port)
        except OSError as error:
            raise NoSuchHost(
                f"cannot find the host: {error.strerror}",
                where=contact.host,
                cure="use its address",
            ) from error
        hosts = [normal(address)[0] for *_, address in found]
        reached = [host for host in hosts if self.protocol.transport.reaches(host)]
        return Contact(contact.public, (reached or hosts)[0], contact.port)


def _nobody(
    contacts: Sequence[Contact], silent: Sequence[NetworkError | ProtocolError]
) -> NetworkError:
    """What to say when none of the contacts answered."""
    unknown = [error for error in silent if isinstance(error, NoSuchHost)]
    if len(unknown) == len(contacts):
        return unknown[0]
    for error in silent:
        if isinstance(error, WrongClock):
            return error
    return NetworkError(
        "no known node answered",
        where=", ".join(f"{c.host}:{c.port}" for c in contacts[:4]),
        cure="is it running, reachable, and is its key the one you wrote?",
    )


def _radius(router: XorRoutingTable, node: Peer, k: int) -> int:
    """How far keys may be for which this node should be among the k nearest: its k-th neighbour."""
    near = router.find_neighbors(node, k)
    return near[-1].long_id ^ node.long_id if len(near) == k else FARTHEST
