"""The Kademlia protocol over sealed datagrams: calls, answers, proofs of address.

Guards: whatever a peer sends ends as an answer or as one counted drop with a reason code, never as
a task's exception. A reply counts only from the key that was asked. Until a sender has proved its
address (by answering us, or by returning a challenge) it gets no answer longer than its request,
and it enters no routing table. A repeated request gets the first answer again, nothing runs twice.
"""

import asyncio
import hashlib
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from kademlia.protocol import KademliaProtocol

from pockethive.core.errors import (
    NetworkError,
    PocketHiveError,
    ProtocolError,
    StorageError,
)
from pockethive.dht import wire
from pockethive.dht.contact import Contact
from pockethive.dht.identity import node_id
from pockethive.dht.methods import Methods
from pockethive.dht.routing import Peer, XorRoutingTable
from pockethive.dht.rtt import RoundTrips
from pockethive.dht.seal import Sealer
from pockethive.dht.store import RecordStore
from pockethive.dht.transport import Address, Message, SealedTransport

Handler = Callable[[bytes, bytes], Awaitable[bytes] | bytes]

log = logging.getLogger(__name__)

_MAX_RUNNING = 128  # handlers of direct requests at a time
_LONGEST_HANDLER = 60.0  # seconds; nobody waits so long
_MAX_ANSWERS = 512
_MAX_ANSWER_BYTES = 2 * 2**20
_MAX_PROVEN = 4096
_MAX_PROBES = 16
_SLOWEST = 4.0  # seconds between two sendings of one request


@dataclass(slots=True)
class _Call:
    message: Message
    future: "asyncio.Future[Any]"
    started: float
    deadline: float
    wait: float
    tries: int
    timer: asyncio.TimerHandle | None = None
    resent: bool = False


class HiveProtocol(KademliaProtocol):  # type: ignore[misc]  # kademlia ships no types
    """One node's end of all conversations. Belongs to the loop's thread."""

    router: XorRoutingTable
    storage: RecordStore
    transport: SealedTransport

    def __init__(
        self,
        source: Peer,
        storage: RecordStore,
        ksize: int,
        sealer: Sealer,
        randbytes: Callable[[int], bytes],
    ) -> None:
        super().__init__(source, storage, ksize)
        self._loop = asyncio.get_running_loop()
        self.router = XorRoutingTable(self, ksize, source, self._loop.time)
        self.source = source
        self.counters: Counter[str] = Counter()
        self.handlers: dict[str, Handler] = {}
        self._sealer, self._randbytes = sealer, randbytes
        self._secret = randbytes(32)
        self._trips = RoundTrips()
        self._outstanding: dict[int, _Call] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._answers: OrderedDict[tuple[bytes, int], bytes | None] = OrderedDict()
        self._answer_bytes = 0
        self._proven: OrderedDict[tuple[bytes, Address], None] = OrderedDict()
        self._probing: set[bytes] = set()
        self._methods = Methods(self.router, storage)

    def __getattr__(self, name: str) -> NoReturn:
        """Switch off rpcudp's remote calls by attribute: a typing error is an error."""
        raise AttributeError(name)

    # asyncio's datagram protocol

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = SealedTransport(transport, self._sealer)

    def connection_lost(self, exc: Exception | None) -> None:
        """The node closes its transport itself."""

    def error_received(self, exc: OSError) -> None:  # noqa: ARG002 - asyncio's signature
        self.counters["unreachable"] += 1

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        try:
            message = self.transport.receive(data, (addr[0], addr[1]))
            if message is not None:
                self._deliver(message)
        except ProtocolError as error:
            self.counters[error.where or "refused"] += 1
        except Exception:  # nothing a peer sends may reach the loop
            self.counters["internal"] += 1
            log.debug("a datagram from %s failed inside", addr, exc_info=True)

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
        wait = self._trips.timeout(contact.public)
        started = self._loop.time()
        ident = int.from_bytes(self._randbytes(8), "big")
        payload = wire.pack_request(method, arguments)
        message = Message(contact.public, contact.address, wire.REQUEST, ident, payload)
        deadline = started + (wait * tries if timeout is None else timeout)
        call = _Call(message, self._loop.create_future(), started, deadline, wait, tries)
        self._outstanding[ident] = call
        try:
            self._transmit(call)
            value = wire.unpack_reply(await call.future)
        except NetworkError:
            self.counters["timeout"] += 1
            self.router.silent(Peer(contact))
            raise
        finally:
            del self._outstanding[ident]
            if call.timer is not None:
                call.timer.cancel()
        if not call.resent and method != "ask":
            self._trips.sample(contact.public, self._loop.time() - started)
        return value

    def stop(self) -> list[asyncio.Task[None]]:
        """Close the socket, fail what waits; the tasks that are being cancelled."""
        for call in self._outstanding.values():
            if not call.future.done():
                call.future.set_exception(NetworkError("this node is stopping"))
        for task in self._running:
            task.cancel()
        self.transport.close()
        return list(self._running)

    def spawn(self, work: Callable[[], Awaitable[None]], name: str) -> bool:
        """Run work that nobody awaits; False when too much of it runs already."""
        if len(self._running) >= _MAX_RUNNING or self.transport.inner.is_closing():
            return False
        task = asyncio.ensure_future(_guarded(work, name))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    def _transmit(self, call: _Call) -> None:
        call.tries -= 1
        now = self._loop.time()
        after = max(0.0, call.deadline - now)
        if call.tries > 0:
            after = min(after, call.wait)
        call.wait = min(2 * call.wait, _SLOWEST)
        call.timer = self._loop.call_later(after, self._expire, call)
        try:
            self.transport.send(call.message)
        except OSError:
            self.counters["unreachable"] += 1

    def _expire(self, call: _Call) -> None:
        if call.future.done():
            return
        if call.tries > 0 and self._loop.time() < call.deadline:
            call.resent = True
            self._transmit(call)
            return
        host, port = call.message.address
        call.future.set_exception(
            NetworkError(
                "no answer", where=f"{host}:{port}", cure="is that device up and reachable?"
            )
        )

    # answers

    def _deliver(self, message: Message) -> None:
        if message.kind == wire.REQUEST:
            self._accept_message(message)
            self._meet(message)
            return
        if message.kind == wire.PROOF:
            self._accept_proof(message)
            return
        call = self._outstanding.get(message.ident)
        if call is None or call.future.done():
            raise ProtocolError("an answer nobody waits for", where="late")
        if call.message.public != message.public:
            raise ProtocolError("an answer from another key", where="stranger")
        if message.kind == wire.CHALLENGE:
            proof = Message(
                message.public, message.address, wire.PROOF, message.ident, message.payload[:16]
            )
            self.transport.send(proof)
            return
        self._prove(message)
        call.future.set_result(message.payload)

    def _accept_message(self, message: Message) -> None:
        name = message.public, message.ident
        if name in self._answers:
            answer = self._answers[name]
            if answer is not None:
                self._send_answer(message, answer)
            return
        method, arguments = wire.unpack_request(message.payload)
        if method == "ask":
            self._ask(message, arguments)
            return
        asker = Contact(message.public, *message.address)
        try:
            self._answer(message, wire.pack_reply(self._methods.answer(asker, method, arguments)))
        except ProtocolError as error:
            self.counters[error.where or "refused"] += 1
            self._answer(message, wire.pack_refusal(error.what))
        except StorageError as error:
            self.counters["storage"] += 1
            log.warning("a record was not stored: %s", error)
            self._answer(message, wire.pack_refusal("storage"))

    def _ask(self, message: Message, arguments: list[Any]) -> None:
        if len(arguments) != 2 or not isinstance(arguments[0], str):
            raise ProtocolError("a direct request is a method and a body", where="shape")
        body, handler = wire.need(arguments[1]), self.handlers.get(arguments[0])
        if handler is None:
            self._answer(message, wire.pack_refusal("no such method here"))
            return
        self._keep_answer((message.public, message.ident), None)

        async def answer() -> None:
            self._answer(message, await _handled(handler, message.public, body))

        if not self.spawn(answer, "pockethive-answer"):
            self.counters["busy"] += 1
            self._answer(message, wire.pack_refusal("busy"))

    def _answer(self, message: Message, payload: bytes) -> None:
        self._keep_answer((message.public, message.ident), payload)
        self._send_answer(message, payload)

    def _send_answer(self, message: Message, payload: bytes) -> None:
        kind = wire.REPLY
        proven = (message.public, message.address) in self._proven
        if not proven and len(payload) > len(message.payload):
            kind, payload = wire.CHALLENGE, self._cookie(message)
        self.transport.send(Message(message.public, message.address, kind, message.ident, payload))

    def _accept_proof(self, message: Message) -> None:
        if message.payload != self._cookie(message):
            raise ProtocolError("a proof of another address", where="proof")
        self._prove(message)
        answer = self._answers.get((message.public, message.ident))
        if answer is not None:
            self._send_answer(message, answer)

    def _cookie(self, message: Message) -> bytes:
        text = f"{message.address[0]} {message.address[1]} {message.ident}".encode()
        return hashlib.blake2b(message.public + text, key=self._secret, digest_size=8).digest()

    def _keep_answer(self, name: tuple[bytes, int], payload: bytes | None) -> None:
        self._answers[name] = payload
        self._answer_bytes += len(payload or b"")
        while len(self._answers) > _MAX_ANSWERS or self._answer_bytes > _MAX_ANSWER_BYTES:
            _, old = self._answers.popitem(last=False)
            self._answer_bytes -= len(old or b"")

    # who is where

    def _prove(self, message: Message) -> None:
        name = message.public, message.address
        self._proven[name] = None
        self._proven.move_to_end(name)
        if len(self._proven) > _MAX_PROVEN:
            self._proven.popitem(last=False)
        self._enter(message)

    def _enter(self, message: Message) -> None:
        """Into the routing table, with the address that was just proved."""
        known = self.router.known(node_id(message.public))
        if known is None or known.contact.address != message.address:
            known = Peer(Contact(message.public, *message.address))
        known.silences = 0
        self.router.add_contact(known)

    def _meet(self, message: Message) -> None:
        """A request came in: refresh its sender, or find out whether it is where it seems to be."""
        known = self.router.known(node_id(message.public))
        if known is not None and known.contact.address == message.address:
            self.router.add_contact(known)
        elif (message.public, message.address) in self._proven:
            self._enter(message)
        elif message.public not in self._probing and len(self._probing) < _MAX_PROBES:
            contact = Contact(message.public, *message.address)
            self._probing.add(message.public)

            async def probe() -> None:
                try:
                    await self.call(contact, "ping")
                finally:
                    self._probing.discard(contact.public)

            if not self.spawn(probe, "pockethive-probe"):
                self._probing.discard(contact.public)


async def _guarded(work: Callable[[], Awaitable[None]], name: str) -> None:
    try:
        await work()
    except PocketHiveError as error:
        log.debug("%s: %s", name, error)
    except Exception:
        log.exception("%s failed", name)


async def _handled(handler: Handler, public: bytes, body: bytes) -> bytes:
    """The packed answer of a direct request's handler, whatever it does."""
    try:
        result = handler(public, body)
        async with asyncio.timeout(_LONGEST_HANDLER):
            value = result if isinstance(result, bytes) else await result
        return wire.pack_reply(wire.need(value))
    except PocketHiveError as error:
        return wire.pack_refusal(str(error))
    except Exception:
        log.exception("the handler of a direct request failed")
        return wire.pack_refusal("the handler failed")
