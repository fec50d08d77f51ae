"""The node people use: put, get, direct requests, witnessing, over one UDP port.

Guards: it runs in a live service's loop or in a thread's own; it touches no signal, no loop policy,
no root logger; `stop` leaves no task, socket, thread or file behind.
"""

import asyncio
import contextlib
import inspect
import logging
import random
import secrets
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht import puzzle, wire
from pockethive.dht.audience import NOBODY, Allow, Audience
from pockethive.dht.blobs import BlobStore
from pockethive.dht.bulk import publish_all
from pockethive.dht.carrier import BlobCarrier
from pockethive.dht.contact import Contact
from pockethive.dht.exchange import Directory, Exchange
from pockethive.dht.facts import NodeFacts, facts_of
from pockethive.dht.fetching import Fetcher
from pockethive.dht.identity import Identity
from pockethive.dht.leaving import hand_over
from pockethive.dht.limits import is_loopback
from pockethive.dht.listening import cancel, listen, reachable, stop_server
from pockethive.dht.notes import Note, newest, note_key, sign_note
from pockethive.dht.protocol import Handler, HiveProtocol
from pockethive.dht.providers import Provider
from pockethive.dht.reach import Reachability
from pockethive.dht.record import Record, sign_tombstone
from pockethive.dht.rules import OpenRules, Rules
from pockethive.dht.server import HiveServer
from pockethive.dht.settings import NodeSettings
from pockethive.dht.spread import Spreading
from pockethive.dht.store import RecordStore
from pockethive.dht.tally import Tally
from pockethive.dht.witness import Witness

__all__ = ["Node", "NodeSettings"]

log = logging.getLogger(__name__)

WITNESS: Final = "witness"


class Node:
    """A DHT participant. All coroutines run on the loop that called `start`."""

    def __init__(self, settings: NodeSettings, identity: Identity, rules: Rules) -> None:
        self.settings, self.identity, self.rules = settings, identity, rules
        self._handlers: dict[str, Handler] = {}
        self._closing = contextlib.AsyncExitStack()
        self._server: HiveServer | None = None
        self._exchange: Exchange | None = None
        self._contact: Contact | None = None
        self._allow: Allow | None = None
        self._witness: Witness | None = None
        self._tallies = {name: Tally() for name in ("put", "get", "find")}
        self._random = random.Random(settings.randbytes(16))  # noqa: S311 - jitter, no secret

    @classmethod
    def open(cls, home: Path | None = None, listen: tuple[str, int] = ("127.0.0.1", 0)) -> Self:
        """A node that stands alone: anyone's notes, registers, blobs; start it with `async with`.

        Its key and stores are in `home`; None: a new key, and everything in memory.

        Raises StorageError: the key in `home` cannot be used.
        """
        if home is None:
            identity = Identity.from_seed(secrets.token_bytes(32))
        else:
            identity = Identity.load_or_create(home)
        return cls(NodeSettings(home=home, listen=listen), identity, OpenRules())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open stores and sockets.

        Raises:
            NetworkError: the port is taken, or the address is not ours.
            StorageError: the home folder cannot be used.
        """
        if self._server is not None:
            raise NetworkError("this node runs already", cure="stop it first")
        bits = self.settings.puzzle_bits
        if not puzzle.solved(self.identity.public, bits):
            raise NetworkError(
                f"this device's key lacks the {bits} bits of work that this hive asks for",
                cure="make a key for this hive (puzzle.work), in a home of its own",
            )
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            self._closing = stack.pop_all()

    async def stop(self) -> None:
        """Close everything; a stopped node can be started again."""
        self._server = self._exchange = self._contact = self._witness = None
        await self._closing.aclose()

    async def put(self, record: Record) -> int:
        """Store at the k nearest nodes and here; how many copies there are now.

        Raises ProtocolError: the rules of this node refuse the record.
        """
        with self._tallies["put"].timed():
            return await self._running.publish(record)

    async def put_all(self, records: Sequence[Record]) -> int:
        """Store many records, where they may be stored; how many are held here now."""
        return await publish_all(self._running, records)

    async def remove(self, record: Record) -> int:
        """Take back what this device wrote, wherever it is held; how many copies are buried.

        Raises ProtocolError: another author's, or of a kind that stays.
        """
        return await self.put(sign_tombstone(self.identity, record))

    async def get(
        self, key: bytes, *, careful: bool = False, nearest: int | None = None
    ) -> tuple[Record, ...]:
        """All live records under a key, from all k nearest nodes and here, verified and merged.

        `careful` walks three paths that share no node, at about three times the cost; `nearest`
        asks so many holders only: for what is looked at again and again.
        """
        with self._tallies["get"].timed():
            found = await self._running.collect(key, careful=careful, nearest=nearest)
        return tuple(record for record in found if not record.tombstone)

    async def get_some(
        self, key: bytes, most: int, known: Iterable[bytes] = ()
    ) -> tuple[tuple[Record, ...], bool]:
        """As `get`, at most so many beside those `known` by name; and whether there are more."""
        with self._tallies["get"].timed():
            found, more = await self._running.collect_some(key, most, known)
        return tuple(record for record in found if not record.tombstone), more

    def watch(self, key: bytes, seconds: float) -> AsyncGenerator[Record, None]:
        """Records under a key: those there are, then those that come, for so many seconds.

        Of a place the newest is told, tombstones too; a slow reader misses what was replaced
        meanwhile. The loop ends early when the node stops; too many loops are a ProtocolError.
        """
        return self._running.watching.watch(key, seconds)

    async def note(self, key: str, value: bytes, seconds: float = 3600.0, slot: str = "") -> int:
        """Store a small signed value of this node; how many copies there are now.

        A newer one under the same key and slot takes its place for readers. Raises BadInput (over
        the bounds in `notes`), ProtocolError (the rules of this node refuse it).
        """
        record = sign_note(self.identity, key, value, (self.settings.clock(), seconds), slot)
        return await self.put(record)

    async def notes(self, key: str) -> tuple[Note, ...]:
        """Everybody's notes under a key, the newest of each author and slot, newest first."""
        return newest(await self.get(note_key(key)))

    async def hand_over(self, seconds: float) -> int:
        """Before leaving: give records to nodes that stay, `leaving.MAX_RECORDS` at most."""
        await self.spreading.settle()
        return await hand_over(self._running, seconds)

    async def join(self, contacts: Iterable[Contact]) -> int:
        """Meet the network through some of its nodes; how many of them answered.

        Raises:
            NetworkError: contacts were given, and none answered; or this device's key is in use at
                another address, because its home was copied.
        """
        known = list(contacts)
        answered = await self._running.bootstrap(known)
        if answered:
            await self._running.reach.settle([contact.address for contact in known])
        return answered

    async def greet(self, contacts: Iterable[Contact]) -> int:
        """Before `join`, how many of these nodes answer; those that are late are not waited for.

        Raises NetworkError: contacts were given, and none answered.
        """
        return await self._running.greet(list(contacts))

    async def find(self, public: bytes, *, careful: bool = False) -> Contact | None:
        """Where a device is, from the routing table or by a lookup, `careful` on disjoint paths."""
        own = public == self.identity.public
        known = self.contact if own else self._running.known(public)
        if known is not None:
            return known
        with self._tallies["find"].timed():
            return await self._running.find(public, careful=careful)

    # direct requests

    def serve(self, method: str, handler: Handler) -> None:
        """Answer direct requests of this method: `handler(peer's key, body) -> body`.

        It may be a coroutine function; it runs on the loop, at most once per request. A
        PocketHiveError that it raises is told to the peer.
        """
        if method == WITNESS or not 0 < len(method) <= wire.MAX_METHOD:
            raise ValueError(f"not a free method name: {method!r}")
        self._handlers[method] = handler

    async def request(
        self,
        peer: Contact | bytes,
        method: str,
        body: bytes,
        *,
        timeout: float = 3.0,  # noqa: ASYNC109 - it also decides when to send again
    ) -> bytes:
        """Ask a known device directly; `body` and the answer have at most 8 KiB.

        Raises NetworkError (no answer within `timeout` seconds, or nobody knows where it is),
        ProtocolError (it refused, with its reason).
        """
        if len(body) > wire.MAX_BODY:
            raise ProtocolError(f"a request of {len(body)} bytes, at most {wire.MAX_BODY} travel")
        public = peer.public if isinstance(peer, Contact) else peer
        if public == self.identity.public:
            return await self._request_self(method, body)
        return wire.need(await self._running.ask(peer, method, body, timeout))

    async def decide(self, peer: Contact | bytes, request: bytes) -> bytes:
        """As `request`, of a witness, also this node's: it replies once its cell is on the disk."""
        return await self.request(peer, WITNESS, request)

    # blobs

    @property
    def blobs(self) -> BlobStore:
        """What this device holds. Any thread."""
        return self._exchanging.store

    def allow_blobs(self, allow: Allow) -> None:
        """Decide who may fetch: `allow(peer's key, name)`, not the store's audience; any thread."""
        self._allow = allow
        if self._exchange is not None:
            self._exchange.allow = allow

    async def fetch(
        self,
        name: str,
        holders: Sequence[Contact] = (),
        *,
        to: Path | None = None,
        audience: Audience = NOBODY,
    ) -> int:
        """Bring a blob here, from these holders, then from those that provider records name.

        It is kept for `audience`, and with `to` also written to that file. What was got of a large
        one stays when this fails or ends early, and the next call goes on from there. Its size.

        Raises:
            NetworkError: nobody gave it.
            StorageError: there is no room for it, or it is damaged here.
        """
        return await self._exchanging.fetch(name, holders, to, audience)

    def got(self, name: str) -> int:
        """Bytes of a blob that are here, or have come so far while it is fetched. On the loop."""
        return self._exchanging.got(name)

    async def fetch_from(self, contacts: Sequence[Contact], name: str) -> bytes:
        """A blob's bytes, from here or from these holders. A small one is not kept here.

        Raises:
            NetworkError: nobody gave it.
            StorageError: it is too large to be had in one piece, or there is no room for it.
        """
        return await self._exchanging.read(name, contacts)

    async def provide(self, name: str) -> int:
        """Announce that this device gives a blob, until it is gone; how many copies there are.

        Raises StorageError (it is not here, or nobody may fetch it), ProtocolError (the rules of
        this node refuse).
        """
        return await self._exchanging.provide(name)

    async def providers(self, name: str) -> tuple[Provider, ...]:
        """Other devices that say they give a blob. Raises BadEncoding: not a name."""
        return await self._exchanging.providers(name)

    # what is known

    @property
    def contact(self) -> Contact:
        """This node's own contact; works as an invitation on the same network."""
        if self._contact is None:
            raise NetworkError("this node does not run", cure="await start() first")
        return self._contact

    @property
    def spreading(self) -> Spreading:
        """How what is new gets to all nodes of a small hive."""
        return self._running.spreading

    @property
    def reachability(self) -> Reachability:
        """Whether others can dial this node, as far as peers have tried."""
        return self._running.reach.state

    @property
    def counters(self) -> Mapping[str, int]:
        """What was dropped or went wrong, by reason code, since the start."""
        return self._protocol.counters

    def facts(self) -> NodeFacts:
        """This node in numbers. On the loop's thread."""
        assert self._witness is not None
        return facts_of(self._running, self.blobs, self._witness.cells, self._tallies)

    def contacts(self) -> tuple[Contact, ...]:
        """The peers in the routing table."""
        return tuple(peer.contact for peer in self._protocol.router.peers())

    def forget(self, public: bytes) -> None:
        """Take a device out of the routing table, such as one that belongs to the hive no more."""
        self._protocol.router.remove(public)

    @property
    def _running(self) -> HiveServer:
        if self._server is None:
            raise NetworkError("this node does not run", cure="await start() first")
        return self._server

    @property
    def _exchanging(self) -> Exchange:
        if self._exchange is None:
            raise NetworkError("this node does not run", cure="await start() first")
        return self._exchange

    @property
    def _protocol(self) -> HiveProtocol:
        return self._running.protocol

    async def _request_self(self, method: str, body: bytes) -> bytes:
        handler = self._protocol.handlers.get(method)
        if handler is None:
            raise ProtocolError(f"no method {method!r} here")
        answer = handler(self.identity.public, body)
        return await answer if inspect.isawaitable(answer) else answer

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        settings, home = self.settings, self.settings.home
        storage = RecordStore(
            self.rules,
            path=home and home / "records.sqlite",
            clock=settings.clock,
            max_records=settings.max_records,
            max_bytes=settings.max_bytes,
            own=self.identity.public,
        )
        stack.callback(storage.close)
        witness = Witness(self.rules, settings.clock, home and home / "cells.sqlite")
        stack.push_async_callback(witness.close)
        folder = home and home / "blobs"
        blobs = BlobStore(folder, quota=settings.blob_bytes, clock=settings.clock)
        stack.callback(blobs.close)
        carrier = settings.carrier(self.identity)
        stack.push_async_callback(carrier.close)
        exchange = self._exchange_of(blobs, carrier)
        server = await listen(settings, self.identity, storage, carrier, exchange.answer)
        stack.push_async_callback(stop_server, server)
        upkeep = asyncio.create_task(server.upkeep.run(), name="pockethive-upkeep")
        stack.push_async_callback(cancel, upkeep)
        renewal = asyncio.create_task(exchange.announcements.renew(), name="pockethive-providers")
        stack.push_async_callback(cancel, renewal)
        self._handlers[WITNESS], self._witness = witness.decide, witness
        server.protocol.handlers = self._handlers
        self._server, self._exchange = server, exchange
        host, port = server.transport.get_extra_info("sockname")[:2]
        self._contact = Contact(self.identity.public, settings.advertise or reachable(host), port)
        server.reach.dials = not is_loopback(self._contact.host)

    def _exchange_of(self, blobs: BlobStore, carrier: BlobCarrier) -> Exchange:
        directory = Directory(
            identity=self.identity,
            contact=lambda: self.contact,
            put=self.put,
            get=self.get,
            clock=self.settings.clock,
        )
        exchange = Exchange(blobs, Fetcher(blobs, carrier, self._random), directory)
        exchange.allow = self._allow
        return exchange
