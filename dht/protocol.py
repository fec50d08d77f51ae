"""The Kademlia protocol over sealed datagrams: calls, answers, who may speak and enter the table.

Guards: whatever a peer sends ends as an answer or as one counted drop with a reason code, never as
a task's exception. Until a sender has proved its address (by answering us, or by returning a
challenge) it gets one challenge for each request, never longer than it, and enters no routing
table. A repeated request gets the first answer again; what is not idempotent does not run twice.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

from kademlia.protocol import KademliaProtocol

from pockethive.core.errors import NetworkError, ProtocolError, StorageError, WrongClock
from pockethive.dht import puzzle, reasons, wire
from pockethive.dht.answers import Answers
from pockethive.dht.backlog import Backlog
from pockethive.dht.calls import Calls
from pockethive.dht.contact import Contact
from pockethive.dht.identity import node_id
from pockethive.dht.limits import Gate
from pockethive.dht.methods import Methods
from pockethive.dht.proofs import Proofs
from pockethive.dht.reasons import Counts
from pockethive.dht.routing import Peer, XorRoutingTable
from pockethive.dht.seal import Sealer, WrongTime
from pockethive.dht.settings import NodeSettings
from pockethive.dht.store import RecordStore
from pockethive.dht.transport import Address, Message, SealedTransport, normal
from pockethive.dht.work import Handler, Waiting, guarded, handled, waited

__all__ = ["Handler", "HiveProtocol", "Waiting"]

log = logging.getLogger(__name__)

_MAX_RUNNING: Final = 128  # handlers of direct requests at a time
_LONG: Final = 600.0  # seconds after which no NAT lets an answer in: what comes then was dialled
_ACK: Final = wire.pack_reply(b"")
_ASK: Final = wire.pack_request("ask", ())[1:5]
_READS: Final = {"ping", "seen", "find_node", "find_value", "names", "fetch", "lacks"}
_IDEMPOTENT: Final = {*_READS, "offer", "deposit", "hold", "watch", "news"}  # joins: twice is once
_SHARES: Final = {*_READS - {"ping", "seen", "fetch"}, "offer", "store", "deposit", "hold", "watch"}


class HiveProtocol(KademliaProtocol):  # type: ignore[misc]  # kademlia ships no types
    """One node's end of all conversations. Belongs to the loop's thread."""

    router: XorRoutingTable
    storage: RecordStore
    transport: SealedTransport

    def __init__(
        self, source: Peer, storage: RecordStore, sealer: Sealer, settings: NodeSettings
    ) -> None:
        super().__init__(source, storage, settings.k)
        self._loop = asyncio.get_running_loop()
        self.router = XorRoutingTable(self, settings.k, source, self._loop.time)
        self.source = source
        self.counters = Counts()
        self.random = random.Random(settings.randbytes(16))  # noqa: S311 - spreads load, no secret
        self.handlers: dict[str, Handler] = {}
        self.waiting: dict[str, Waiting] = {}
        self.dialled = self._loop.time()  # when somebody asked that had long said nothing
        self.proofs = Proofs(settings.randbytes(32))
        self._settings, self._sealer = settings, sealer
        self._checks = settings.admit is not None or settings.puzzle_bits > 0
        self._gate = Gate(settings.limits)
        self._running: set[asyncio.Task[None]] = set()
        self._answers = Answers()
        self._methods = Methods(self.router, storage, self.counters)

    def __getattr__(self, name: str) -> NoReturn:
        """Switch off rpcudp's remote calls by attribute: a typing error is an error."""
        raise AttributeError(name)

    @property
    def methods(self) -> Methods:
        """What peers may ask of the table and the store."""
        return self._methods

    # asyncio's datagram protocol

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = SealedTransport(
            transport, self._sealer, self.counters, self._loop.call_soon, self._loop.call_later
        )
        self.transport.client = bool(self._settings.client)
        self._backlog = Backlog(transport)
        self._calls = Calls(self.transport, self._settings.randbytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """The node closes its transport itself."""

    def error_received(self, exc: OSError) -> None:  # noqa: ARG002 - asyncio's signature
        self.counters[reasons.UNREACHABLE] += 1

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        with self.transport.together():
            for come in ((data, addr), *self._backlog.take()):
                self._receive(*come)

    def _receive(self, data: bytes, addr: tuple[Any, ...]) -> None:
        try:
            address = normal(addr)
            paying = self._gate.pays(address[0])
            if paying:
                self._gate.datagram(address[0], self._sealer.knows(data), self._loop.time())
            messages = self.transport.receive(data, address)
            if paying and messages:
                self._gate.messages(messages[0].public, len(messages), self._loop.time())
        except WrongTime as error:
            self.counters.note(error)
            self._differ(error, address)
        except ProtocolError as error:
            self.counters.note(error)
        except Exception:  # nothing a peer sends may reach the loop
            self.counters[reasons.INTERNAL] += 1
            log.debug("a datagram from %s failed inside", addr, exc_info=True)
        else:
            for message in messages:
                self._deliver(message)

    @property
    def boot(self) -> bytes:
        """What tells this process from others under the same key."""
        return self._sealer.boot

    # calls

    async def call(
        self,
        contact: Contact,
        method: str,
        *arguments: object,
        timeout: float | None = None,  # noqa: ASYNC109 - it also decides when to send again
        tries: int = 2,
    ) -> Any:
        """Ask a peer; its answer's value.

        Without `timeout` (seconds) the peer's own round-trip times decide how long to wait.

        Raises:
            NetworkError: silence.
            ProtocolError: the peer refused, or answered nonsense.
        """
        return await self.answered(contact, wire.pack_request(method, arguments), timeout, tries)

    async def answered(
        self,
        contact: Contact,
        payload: bytes,
        timeout: float | None = None,  # noqa: ASYNC109
        tries: int = 2,
    ) -> Any:
        """`call` with a request that is packed, such as one for many. Raises the same."""
        answer = await self.exchange(contact, payload, timeout, tries)
        try:
            return wire.unpack_reply(answer.payload)
        except ProtocolError as error:
            self.counters.note(error)
            raise

    async def exchange(
        self,
        contact: Contact,
        payload: bytes,
        timeout: float | None = None,  # noqa: ASYNC109
        tries: int = 2,
    ) -> Message:
        """Send a packed request; the message that answers it. Raises NetworkError: silence."""
        try:
            return await self._calls.exchange(contact, payload, timeout, tries)
        except NetworkError as error:
            if not isinstance(error, WrongClock):
                self.counters[reasons.TIMEOUT] += 1
            if self.router.silent(Peer(contact)):
                self.proofs.forget(contact.public, contact.address)
            raise

    def contacts(self, answer: object, source: Contact) -> list[Contact]:
        """What a peer named: at most k contacts that this node may and can speak with.

        Raises:
            BadEncoding: a damaged list.
        """
        scope = source.host.partition("%")[2]
        try:
            named = wire.unpack_contacts(answer, self.router.ksize, scope)
        except ProtocolError as error:
            self.counters.note(error)
            raise
        reaches = self.transport.reaches
        if not self._checks:
            return [contact for contact in named if reaches(contact.host)]
        welcome = (contact for contact in named if self.objection(contact.public) is None)
        return [contact for contact in welcome if reaches(contact.host)]

    def objection(self, public: bytes) -> str | None:
        """The reason code why this key has no place here; None when it has."""
        settings = self._settings
        if not puzzle.solved(public, settings.puzzle_bits):
            return reasons.PUZZLE
        if settings.admit is not None and not settings.admit(public):
            return reasons.STRANGER
        return None

    def stop(self) -> list[asyncio.Task[None]]:
        """Close the socket, fail what waits; the tasks that are being cancelled."""
        self._calls.stop()
        for task in self._running:
            task.cancel()
        self.transport.close()
        self._backlog.close()
        return list(self._running)

    def spawn(self, work: Callable[[], Awaitable[None]], name: str) -> bool:
        """Run work that nobody awaits; False when too much of it runs already."""
        if len(self._running) >= _MAX_RUNNING or self.transport.inner.is_closing():
            return False
        task = asyncio.ensure_future(guarded(work, name))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    # what comes in

    def _deliver(self, message: Message) -> None:
        try:
            if message.kind == wire.REQUEST:
                self._hear(message)
            elif message.kind == wire.PROOF:
                self._believe(message)
            elif self._calls.take(message):
                self.proofs.add(message.public, message.address)
                self._enter(message)
        except ProtocolError as error:
            self.counters.note(error)
        except Exception:  # nothing a peer sends may reach the loop
            self.counters[reasons.INTERNAL] += 1
            log.debug("a message from %s failed inside", message.address, exc_info=True)

    def _differ(self, error: WrongTime, address: Address) -> None:
        """Tell who asks that our clock says another time, in no more bytes; hear who tells us."""
        try:
            for item in wire.unbundle(error.plain):
                if len(item) < wire.HEAD.size:
                    return
                kind, ident, index, _ = wire.HEAD.unpack_from(item)
                refusal = wire.pack_refusal(reasons.CLOCK)
                kind &= ~wire.CLIENT
                if kind in (wire.REPLY, wire.CHALLENGE):
                    self._calls.differ(error.public, ident, error.ahead)
                elif kind != wire.REQUEST:
                    continue
                elif index == 0 and len(refusal) <= len(item) - wire.HEAD.size:
                    asked = Message(error.public, address, kind, ident, b"")
                    self._send(asked, wire.REPLY, refusal)
        except ProtocolError as fault:
            log.debug("a datagram of another time was not even that: %s", fault)

    def _hear(self, message: Message) -> None:
        name = message.public, message.ident
        proved = self.proofs.holds(message.public, message.address)
        if name in self._answers:
            kept = self._answers.get(name)
            if not proved:
                self._challenge(message)
            elif kept is not None:
                self._send(message, wire.REPLY, kept)
            return
        method, arguments = wire.unpack_request(message.payload)
        if self._checks and not self._welcome(message, method, arguments):
            return
        if proved:
            self._meet(message)
        else:
            self._challenge(message)
        if method == "ask":
            self._ask(message, arguments)
        elif method in self.waiting:
            work = self.waiting[method]
            self._later(message, lambda: waited(work, message, arguments, self.counters))
        else:
            self._answer(message, method, arguments)

    def _welcome(self, message: Message, method: str, arguments: list[Any]) -> bool:
        """Whether its sender may ask this; else it is refused, in no more bytes than it sent."""
        reason = self.objection(message.public)
        if reason is None:
            return True
        asked = arguments[0] if method == "ask" and arguments else method
        if isinstance(asked, str) and asked in self._settings.open_methods:
            return True
        self.router.remove(message.public)
        self.counters[reason] += 1
        refusal = wire.pack_refusal(reason, len(message.payload))
        if len(refusal) <= len(message.payload):
            self._send(message, wire.REPLY, refusal)
        return False

    def _answer(self, message: Message, method: str, arguments: list[Any]) -> None:
        """Answer a request that takes no time, now; an address still to be proved waits for it."""
        try:
            if self.transport.client and method in _SHARES:
                raise ProtocolError("this node only asks", where=reasons.CLIENT)
            asker = Contact(message.public, *message.address)
            payload = wire.pack_reply(self._methods.answer(asker, method, arguments))
        except ProtocolError as error:
            self.counters.note(error)
            payload = wire.pack_refusal(error.what)
        except StorageError as error:
            self.counters[reasons.STORAGE] += 1
            log.warning("a record was not stored: %s", error)
            payload = wire.pack_refusal("storage")
        proved = self.proofs.holds(message.public, message.address)
        if not proved or method not in _IDEMPOTENT:
            self._answers.keep((message.public, message.ident), payload)
        if proved:
            self._send(message, wire.REPLY, payload)

    def _ask(self, message: Message, arguments: list[Any]) -> None:
        if len(arguments) != 2 or not isinstance(arguments[0], str):
            raise ProtocolError("a direct request is a method and a body", where=reasons.SHAPE)
        body, handler = wire.need(arguments[1]), self.handlers.get(arguments[0])
        if handler is None:
            self._finish(message, wire.pack_refusal("no such method here"))
            return
        self._later(message, lambda: handled(handler, message.public, body, self.counters))

    def _later(self, message: Message, make: Callable[[], Awaitable[bytes]]) -> None:
        """Answer when the work is done; it runs once however often the request comes."""
        self._answers.keep((message.public, message.ident), None)

        async def answer() -> None:
            self._finish(message, await make())

        if not self.spawn(answer, "pockethive-answer"):
            self.counters[reasons.BUSY] += 1
            self._finish(message, wire.pack_refusal("busy"))

    def _finish(self, message: Message, payload: bytes) -> None:
        """Keep an answer, and send it if its asker's address is proved by now."""
        self._answers.keep((message.public, message.ident), payload)
        if self.proofs.holds(message.public, message.address):
            ack = payload == _ACK and message.payload.startswith(_ASK, 1)
            say = self.transport.send_patiently if ack else self.transport.send
            say(message._replace(kind=wire.REPLY, payload=payload))

    def _challenge(self, message: Message) -> None:
        cookie = self.proofs.cookie(message)
        if len(cookie) > len(message.payload):
            raise ProtocolError("a request too short for a challenge", where=reasons.SHORT)
        self._send(message, wire.CHALLENGE, cookie)

    def _believe(self, message: Message) -> None:
        """A challenge came back: its sender is where it seems to be, and gets its answer."""
        if message.payload != self.proofs.cookie(message):
            raise ProtocolError("a proof of another address", where=reasons.PROOF)
        self.proofs.add(message.public, message.address)
        self._enter(message)
        kept = self._answers.get((message.public, message.ident))
        if kept is not None:
            self._send(message, wire.REPLY, kept)

    def _send(self, message: Message, kind: int, payload: bytes) -> None:
        self.transport.send(Message(message.public, message.address, kind, message.ident, payload))

    # who is where

    def _meet(self, message: Message) -> None:
        """A request came in from a proved address: its sender is the freshest contact."""
        known = self.router.known(node_id(message.public))
        if known is None or known.contact.address != message.address or message.client:
            self.proofs.add(message.public, message.address)
            self._enter(message)
        else:
            if self._loop.time() - known.heard > _LONG:
                self.dialled = self._loop.time()
            known.heard = self._loop.time()
            self.router.add_contact(known)

    def _enter(self, message: Message) -> None:
        """Into the routing table, with the address that was proved; clients and strangers out."""
        if self._checks and self.objection(message.public) is not None:
            self.router.remove(message.public)
            return
        known = self.router.known(node_id(message.public))
        if known is None or known.contact.address != message.address:
            if message.client:
                return  # whoever has the key elsewhere may be in the table
            known = Peer(Contact(message.public, *message.address))
        if message.client:
            self.router.remove(message.public)
            return
        known.silences, known.heard = 0, self._loop.time()
        self.router.add_contact(known)
