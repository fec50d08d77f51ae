"""Messages over sealed datagrams: up to 8 fragments out, bounded reassembly in.

Guards: a peer that does not finish its messages cannot make this node hold more than a few of
them. `SealedTransport` wraps any asyncio datagram transport, the real one and the simulated one.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from pockethive.core.errors import BadEncoding
from pockethive.dht.seal import Sealer
from pockethive.dht.wire import HEAD, MAX_FRAGMENT, MAX_FRAGMENTS, PROOF

Address = tuple[str, int]

_PARTIALS_PER_PEER: Final = 8
_PEERS: Final = 256


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message from an authenticated peer. `address` is where it came from, unproven."""

    public: bytes
    address: Address
    kind: int
    ident: int
    payload: bytes


class SealedTransport:
    """Sends and receives whole messages. Belongs to the loop's thread."""

    def __init__(self, inner: asyncio.DatagramTransport, sealer: Sealer) -> None:
        self.inner = inner
        self._sealer = sealer
        self._partials: OrderedDict[bytes, OrderedDict[tuple[int, int], list[bytes | None]]] = (
            OrderedDict()
        )
        self.sent_bytes = 0
        self.sent_datagrams = 0

    def send(self, message: Message) -> None:
        """Send to the key and address in the message. Raises OSError: an unusable address."""
        payload = message.payload
        count = max(1, -(-len(payload) // MAX_FRAGMENT))
        for index in range(count):
            part = payload[index * MAX_FRAGMENT : (index + 1) * MAX_FRAGMENT]
            head = HEAD.pack(message.kind, message.ident, index, count)
            datagram = self._sealer.seal(message.public, head + part)
            self.sent_bytes += len(datagram)
            self.sent_datagrams += 1
            self.inner.sendto(datagram, message.address)

    def receive(self, datagram: bytes, address: Address) -> Message | None:
        """The message that this datagram completes, if any. Raises ProtocolError with a reason."""
        public, plain = self._sealer.open(datagram)
        if len(plain) < HEAD.size:
            raise BadEncoding("a datagram without a head", where="head")
        kind, ident, index, count = HEAD.unpack_from(plain)
        if kind > PROOF or not 0 < count <= MAX_FRAGMENTS or index >= count:
            raise BadEncoding("an impossible head", where="head")
        payload: bytes | None = plain[HEAD.size :]
        if count > 1:
            payload = self._assemble(public, (kind, ident), (index, count), plain[HEAD.size :])
        if payload is None:
            return None
        return Message(public, address, kind, ident, payload)

    def close(self) -> None:
        self.inner.close()

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
            raise BadEncoding("fragments that disagree on their number", where="fragment")
        parts[index] = part
        whole = [piece for piece in parts if piece is not None]
        if len(whole) < count:
            return None
        del partials[name]
        return b"".join(whole)
