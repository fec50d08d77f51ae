"""Messages over sealed datagrams: up to 8 fragments out, bounded reassembly in, bundles both ways.

What goes to one device at one address within one round of the loop shares datagrams: a seal, a
system call and a packet for all of it. Guards: a peer that does not finish its messages cannot make
this node hold more than a few of them. `SealedTransport` wraps any asyncio datagram transport, the
real one and the simulated one, and speaks of IPv4 addresses as such also where a socket for both
families hides them in IPv6's.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from pockethive.core.errors import BadEncoding
from pockethive.dht import reasons, wire
from pockethive.dht.reasons import Counts
from pockethive.dht.seal import BOOT, Sealer
from pockethive.dht.wire import HEAD, MAX_FRAGMENT, MAX_FRAGMENTS, PROOF

Address = tuple[str, int]

PATIENCE: Final = 0.05  # seconds that an acknowledgement waits for company; no RTO is as short
_PARTIALS_PER_PEER: Final = 8
_PEERS: Final = 256
_MAPPED: Final = "::ffff:"


class Message(NamedTuple):
    """A whole message from an authenticated peer. `address` is where it came from, unproven.

    `client`: its sender does not want to be in tables. `boot` names the sender's process: two with
    one key differ in it.
    """

    public: bytes
    address: Address
    kind: int
    ident: int
    payload: bytes
    client: bool = False
    boot: bytes = b""


class SealedTransport:
    """Sends and receives whole messages. Belongs to the loop's thread.

    `soon` runs a function in the loop's next round; without it every message leaves at once.
    What answers one datagram needs no round of its own: `flush` after it was handled.
    """

    def __init__(
        self,
        inner: asyncio.DatagramTransport,
        sealer: Sealer,
        counts: Counts,
        soon: Callable[[Callable[[], None]], object] | None = None,
        later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        self.inner = inner
        self.client = False
        self.answering = False  # then somebody calls `flush` in this very round
        self._sealer, self._counts, self._soon, self._later = sealer, counts, soon, later
        self._outbox: dict[tuple[bytes, Address], list[bytes]] = {}
        self._patient: dict[tuple[bytes, Address], list[bytes]] = {}
        self._partials: OrderedDict[bytes, OrderedDict[tuple[int, int], list[bytes | None]]] = (
            OrderedDict()
        )
        bound = (inner.get_extra_info("sockname") or ("",))[0]
        self.six = ":" in bound
        self.both = bound == "::"
        self.sent_bytes = self.sent_datagrams = self.sent_messages = 0
        self.received_bytes = self.received_datagrams = 0

    def reaches(self, host: str) -> bool:
        """Whether this socket's family carries an address."""
        return self.both or (":" in host) == self.six

    def send(self, message: Message) -> None:
        """Send to the key and address in the message. Raises BadEncoding: the key is none."""
        self._sealer.meet(message.public)
        kind = message.kind | wire.CLIENT if self.client else message.kind
        payload, end = message.payload, (message.public, message.address)
        self.sent_messages += 1
        if len(payload) <= MAX_FRAGMENT:
            self._post(end, HEAD.pack(kind, message.ident, 0, 1) + payload)
            return
        count = -(-len(payload) // MAX_FRAGMENT)
        for index in range(count):
            part = payload[index * MAX_FRAGMENT : (index + 1) * MAX_FRAGMENT]
            self._post(end, HEAD.pack(kind, message.ident, index, count) + part)

    def send_patiently(self, message: Message) -> None:
        """Send what nobody is in a hurry for with whatever else goes there, soon in any case."""
        if self._later is None or len(message.payload) > MAX_FRAGMENT:
            self.send(message)
            return
        self._sealer.meet(message.public)
        kind = message.kind | wire.CLIENT if self.client else message.kind
        self.sent_messages += 1
        if not self._patient:
            self._later(PATIENCE, self._hurry)
        plain = HEAD.pack(kind, message.ident, 0, 1) + message.payload
        self._patient.setdefault((message.public, message.address), []).append(plain)

    def _hurry(self) -> None:
        patient, self._patient = self._patient, {}
        for (public, address), plains in patient.items():
            for plain in plains if len(plains) == 1 else wire.bundle(plains):
                self._emit(public, address, plain)

    def receive(self, datagram: bytes, address: Address) -> list[Message]:
        """The messages that this datagram completes. Raises ProtocolError with a reason."""
        self.received_bytes += len(datagram)
        self.received_datagrams += 1
        public, plain = self._sealer.open(datagram)
        boot = datagram[BOOT]
        if plain and plain[0] != wire.BUNDLE:  # one message, as most times
            message = self._read(public, address, plain, boot)
            return [] if message is None else [message]
        found = (self._read(public, address, item, boot) for item in wire.unbundle(plain))
        return [message for message in found if message is not None]

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is sent meanwhile goes when it ends, however it ends."""
        self.answering = True
        try:
            yield
        finally:
            self.flush()

    def flush(self) -> None:
        """Send now what waits for the end of the round."""
        self.answering = False
        outbox, self._outbox = self._outbox, {}
        for (public, address), plains in outbox.items():
            for plain in plains if len(plains) == 1 else wire.bundle(plains):
                self._emit(public, address, plain)

    def close(self) -> None:
        self.flush()
        self._hurry()
        self.inner.close()

    def _post(self, end: tuple[bytes, Address], plain: bytes) -> None:
        if self._soon is None:
            self._emit(*end, plain)
            return
        waiting = self._outbox.get(end)
        if waiting is not None:
            waiting.append(plain)
            return
        if not (self._outbox or self.answering):
            self._soon(self.flush)
        self._outbox[end] = [*self._patient.pop(end, ()), plain]

    def _emit(self, public: bytes, address: Address, plain: bytes) -> None:
        if self.inner.is_closing():
            return
        datagram = self._sealer.seal(public, plain)
        self.sent_bytes += len(datagram)
        self.sent_datagrams += 1
        try:
            self.inner.sendto(datagram, dialled(address, self.both))
        except OSError:
            self._counts[reasons.UNREACHABLE] += 1

    def _read(self, public: bytes, address: Address, plain: bytes, boot: bytes) -> Message | None:
        if len(plain) < HEAD.size:
            raise BadEncoding("a datagram without a head", where=reasons.HEAD)
        kind, ident, index, count = HEAD.unpack_from(plain)
        client = kind >= wire.CLIENT
        if client:
            kind ^= wire.CLIENT
        if kind > PROOF or not 0 < count <= MAX_FRAGMENTS or index >= count:
            raise BadEncoding("an impossible head", where=reasons.HEAD)
        payload: bytes | None = plain[HEAD.size :]
        if count > 1:
            payload = self._assemble(public, (kind, ident), (index, count), plain[HEAD.size :])
        if payload is None:
            return None
        return Message(public, address, kind, ident, payload, client, boot)

    def _assemble(
        self, public: bytes, name: tuple[int, int], place: tuple[int, int], part: bytes
    ) -> bytes | None:
        index, count = place
        partials = self._partials.setdefault(public, OrderedDict())
        self._partials.move_to_end(public)
        if len(self._partials) > _PEERS:
            self._partials.popitem(last=False)
        parts = partials.setdefault(name, [None] * count)
        if len(partials) > _PARTIALS_PER_PEER:
            partials.popitem(last=False)
        if len(parts) != count:
            raise BadEncoding("fragments that disagree on their number", where=reasons.FRAGMENT)
        parts[index] = part
        whole = [piece for piece in parts if piece is not None]
        if len(whole) < count:
            return None
        del partials[name]
        return b"".join(whole)


def normal(address: tuple[Any, ...]) -> Address:
    """An address as contacts write it: IPv4 as such, a link-local one with its scope's number."""
    host, port = address[0], address[1]
    if len(address) == 2:
        return host, port
    if host.startswith(_MAPPED) and "." in host:
        return host[len(_MAPPED) :], port
    scope = address[3]
    return (f"{host.partition('%')[0]}%{scope}" if scope else host), port


def dialled(address: Address, both: bool) -> tuple[Any, ...]:
    """The address as a socket takes it; `both`: one of IPv6 that carries IPv4 too."""
    host = address[0]
    if ":" not in host:
        return (_MAPPED + host, address[1]) if both else address
    if "%" not in host:
        return address
    bare, _, scope = host.partition("%")
    number = int(scope) if scope.isdigit() else _index(scope)
    return bare, address[1], 0, number


def _index(interface: str) -> int:
    """The number of a link by name; 0, which no link has, when there is none."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0
