"""Who can be dialled: peers try, from sockets this node never sent to. And: one key, one device.

A node asks a few peers ("dial"); each asks another of its own ("dial_for"), and that one pings the
address the request came from, out of a fresh socket and under a fresh key, because a NAT or a
firewall lets answers through to the places a node has spoken to. A node that nobody reaches becomes
a client: it asks, and stands in no table. A node also asks its neighbours whether its own key
answers at another address from another process ("twin"): then its home was copied.

Routers forget port mappings, devices move. A request of a peer that had been silent for longer than
any NAT waits for answers shows that a node is dialled still, and costs nothing. Upkeep asks for a
dial once that has not happened for an hour, and sooner when a peer sees this node elsewhere
("seen").

Guards: nobody is made to send more than he was sent, or to any other host than the one that asks
(as libp2p's AutoNAT does it); dials are rationed by the asker's key.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht import reasons, wire
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity
from pockethive.dht.limits import Buckets
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.reasons import Counts
from pockethive.dht.seal import Sealer
from pockethive.dht.settings import NodeSettings
from pockethive.dht.transport import Address, Message, SealedTransport, normal

log = logging.getLogger(__name__)

ASKED: Final = 3  # peers that are asked to dial, or about twins
_AGREE: Final = 2  # of them must fail to dial before a node takes itself for a client
_DIAL: Final = 2.0  # seconds for one dial
_RESEND: Final = 0.5
_ASK: Final = 5.0  # seconds for an answer that takes two dials, one behind the other
_AGAIN: Final = 3600.0  # seconds without being dialled after which a node asks for a dial
_QUIET: Final = 1200.0  # the same, for asking a peer at which address it sees this node
_RATE, _BURST = 0.5, 6.0  # dials a second for one key


_NEWS: Final = {
    "public": "can dial this node: it takes its share of the DHT",
    "client": "cannot dial this node: it only asks (is a port forwarded to it?)",
    "unknown": "are too few to say whether this node can be dialled",
}


@dataclass(frozen=True, slots=True)
class Reachability:
    """Whether others can dial this node.

    `unknown`: too few peers tried; the node behaves as a public one. `address`: what a peer saw
    this node's datagrams come from (the reflexive address), if one told.
    """

    status: Literal["public", "client", "unknown"] = "unknown"
    address: Address | None = None


class KeyInUse(NetworkError):
    """Another process answers under this device's key: its home was copied."""


class Reach:
    """Asks for dials, and dials for others. Belongs to the loop's thread."""

    def __init__(self, protocol: HiveProtocol, identity: Identity, settings: NodeSettings) -> None:
        self.state = Reachability("client" if settings.client else "unknown")
        self._protocol, self._identity, self._settings = protocol, identity, settings
        self._ration = Buckets(_RATE, _BURST)
        self._checked = False
        self.dials = False  # whether it is of any use to ask; on loopback it is not
        self._decided = self._looked = asyncio.get_running_loop().time()
        self._first: Collection[Address] = ()
        self._saw: dict[Contact, Address] = {}  # who told, at the last decision, what he sees
        protocol.waiting.update(dial=self._dial, dial_for=self._dial_for, twin=self._twin)

    async def settle(self, first: Collection[Address]) -> None:
        """After joining through the addresses `first`: look for twins, once, and ask for dials.

        Raises:
            KeyInUse: this key is in use elsewhere.
        """
        if not self._checked:
            await self.refuse_twin()
            self._checked = True
        self._first = first
        if self.dials and self._settings.client is None:
            await self._decide()

    async def review(self) -> bool:
        """In upkeep: see whether others still can, or cannot dial; if a client became public."""
        if not self.dials or self._settings.client is not None:
            return False
        before, now = self.state.status, asyncio.get_running_loop().time()
        known = self._decided if before == "client" else max(self._decided, self._protocol.dialled)
        if now - known > _AGAIN:
            await self._decide(routine=True)
        elif now - max(known, self._looked) > _QUIET:
            self._looked = now
            if await self._moved():
                await self._decide()
        return before == "client" and self.state.status == "public"

    async def _decide(self, *, routine: bool = False) -> None:
        """Ask for dials; `routine`: one is enough where it says what was known before."""
        self._decided = asyncio.get_running_loop().time()
        before, found = self.state.status, Reachability()
        if routine and before != "unknown":
            found = await self.ask(self._first, 1)
            if found.status == "unknown" and before == "client":
                return  # the one that was asked could not dial either
        if found.status != "public":
            found = await self.ask(self._first)
        if found.status == "client" and before == "public":
            found = await self.ask(self._first)  # others may have more luck
        if found.status == "unknown" and before != "unknown":
            return  # too few tried to change anything
        if found.status != before:
            log.info("others %s", _NEWS[found.status])
        self._become(found)

    async def _moved(self) -> bool:
        """Whether somebody who saw this node at one address sees it at another one now."""
        for contact, before in self._saw.items():
            try:
                answer = await self._protocol.call(contact, "seen")
                (seen,) = wire.unpack_contacts(answer, 1, contact.host.partition("%")[2])
            except (NetworkError, ProtocolError, ValueError):
                continue
            return seen.address != before
        return False

    async def ask(self, first: Collection[Address], count: int = ASKED) -> Reachability:
        """Let peers dial this node, others than those it joined through where there are."""
        peers = [peer.contact for peer in self._protocol.router.peers()]
        self._protocol.random.shuffle(peers)
        peers.sort(key=lambda contact: contact.address in first)
        asked = peers[:count]
        results = await asyncio.gather(*(self._ask(contact) for contact in asked))
        told = [result for result in results if result is not None]
        pairs = zip(asked, results, strict=True)
        self._saw = {contact: result[1] for contact, result in pairs if result is not None}
        address = next((seen for _, seen in told), None)
        if any(reached for reached, _ in told):
            return Reachability("public", address)
        return Reachability("client" if len(told) >= _AGREE else "unknown", address)

    async def refuse_twin(self) -> None:
        """Raises KeyInUse when neighbours say that this key answers somewhere else."""
        near = self._protocol.router.find_neighbors(self._protocol.source, ASKED)
        answers = await asyncio.gather(*(self._ask_twin(peer.contact) for peer in near))
        for other in dict.fromkeys(found for found in answers if found is not None):
            # Only who has the key can answer under it, so a neighbour's word is not enough.
            if await self._boot_of(other) in (None, self._protocol.boot):
                continue
            await self._withdraw()
            raise KeyInUse(
                f"this device's key is in use at {other.host}:{other.port}",
                cure="a home folder must not be copied: delete device.key in the copy",
            )

    def _become(self, state: Reachability) -> None:
        self.state = state
        if state.status != "client":
            self._protocol.transport.client = False
        elif not self._protocol.transport.client:
            self._protocol.spawn(self._withdraw, "pockethive-client")

    async def _withdraw(self) -> None:
        """Tell all who have met this node that it is not for their tables."""
        self._protocol.transport.client = True
        peers = [peer.contact for peer in self._protocol.router.peers()]
        told = (self._protocol.call(contact, "ping") for contact in peers)
        await asyncio.gather(*told, return_exceptions=True)

    async def _ask(self, contact: Contact) -> tuple[bool, Address] | None:
        try:
            await self._protocol.call(contact, "ping", tries=4)  # it dials proved addresses only
            answer = await self._protocol.call(contact, "dial", 0, timeout=_ASK, tries=4)
            reached, packed = wire.need_list(answer, 2)
            (seen,) = wire.unpack_contacts(packed, 1, contact.host.partition("%")[2])
        except (NetworkError, ProtocolError, ValueError):
            return None
        return reached == 1, seen.address

    async def _ask_twin(self, contact: Contact) -> Contact | None:
        try:
            answer = await self._protocol.call(contact, "twin", timeout=_ASK, tries=4)
            found = wire.unpack_contacts(answer, 1, contact.host.partition("%")[2])
        except (NetworkError, ProtocolError):
            return None
        return found[0] if found else None

    # for others

    async def _dial(self, message: Message, arguments: Sequence[Any]) -> object:
        """`[port]`, 0 for the one it came from -> `[1 when somebody reached it, what we see]`."""
        self._pay(message)
        if not (len(arguments) == 1 and type(arguments[0]) is int and 0 <= arguments[0] < 65536):
            raise ProtocolError("a dial takes a port", where=reasons.SHAPE)
        host, port = message.address
        target = Contact(message.public, host, arguments[0] or port)
        seen = wire.pack_contacts([Contact(message.public, host, port)])
        peers = self._protocol.router.peers()
        others = [p.contact for p in peers if p.public != message.public and p.contact.host != host]
        helpers = others or [p.contact for p in peers if p.public != message.public]
        reached = (
            await self._through(self._protocol.random.choice(helpers), target) if helpers else None
        )
        if reached is None:
            reached = await self._boot_of(target) is not None
        return [int(reached), seen]

    async def _through(self, helper: Contact, target: Contact) -> bool | None:
        """Whether another node reached it; None when that one does not say."""
        packed = wire.pack_contacts([target])
        try:
            answer = await self._protocol.call(helper, "dial_for", packed, timeout=_DIAL + 1)
        except (NetworkError, ProtocolError):
            return None
        return bool(answer == 1)

    async def _dial_for(self, message: Message, arguments: Sequence[Any]) -> object:
        """`[contact]` -> 1 when it answered a socket it never sent to."""
        self._pay(message)
        if len(arguments) != 1:
            raise ProtocolError("a dial for somebody takes a contact", where=reasons.SHAPE)
        scope = message.address[0].partition("%")[2]
        targets = wire.unpack_contacts(arguments[0], 1, scope)
        return int(bool(targets) and await self._boot_of(targets[0]) is not None)

    async def _twin(self, message: Message, arguments: Sequence[Any]) -> object:
        """`[]` -> where else the asker's key answers, from another process; nothing if nowhere."""
        self._pay(message)
        if arguments:
            raise ProtocolError("it takes nothing", where=reasons.SHAPE)
        for address in self._protocol.proofs.addresses(message.public):
            if address == message.address:
                continue
            other = Contact(message.public, *address)
            try:
                answer = await self._protocol.exchange(other, wire.pack_request("ping", ()))
            except NetworkError:
                continue
            if answer.boot != message.boot:
                return wire.pack_contacts([other])
        return b""

    def _pay(self, message: Message) -> None:
        if not self._protocol.proofs.holds(message.public, message.address):
            raise ProtocolError("an address still to be proved", where=reasons.UNPROVEN)
        if not self._ration.take(message.public, 1.0, asyncio.get_running_loop().time()):
            raise ProtocolError("too many dials", where=reasons.BUSY)

    async def _boot_of(self, contact: Contact) -> bytes | None:
        """The boot that a contact answers from, if a fresh socket and a fresh key are answered."""
        loop, settings = asyncio.get_running_loop(), self._settings
        identity = Identity.from_seed(settings.randbytes(32))
        sealer = Sealer(identity, settings.clock, settings.randbytes)
        ident = int.from_bytes(settings.randbytes(8), "big")
        host = self._protocol.transport.inner.get_extra_info("sockname")[0]
        try:
            inner, dial = await loop.create_datagram_endpoint(
                lambda: _Dial(contact, sealer, ident), local_addr=(host, 0)
            )
        except OSError as error:
            raise ProtocolError("no socket to dial from", where=reasons.BUSY) from error
        try:
            return await dial.answered()
        finally:
            inner.close()


class _Dial(asyncio.DatagramProtocol):
    """One ping from a fresh socket. Whatever its target's key answers says that it is reached."""

    def __init__(self, contact: Contact, sealer: Sealer, ident: int) -> None:
        self._contact, self._sealer = contact, sealer
        payload = wire.pack_request("ping", ())
        self._ping = Message(contact.public, contact.address, wire.REQUEST, ident, payload)
        self._heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = SealedTransport(transport, self._sealer, Counts())
        self._transport.client = True  # nobody is to put this passing key into a table

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        try:
            messages = self._transport.receive(data, normal(addr))
        except ProtocolError:
            return  # it was not for us: dials are short, and count nothing
        answers = (wire.REPLY, wire.CHALLENGE)
        for message in messages:
            ours = message.public == self._ping.public and message.ident == self._ping.ident
            if ours and message.kind in answers and not self._heard.done():
                self._heard.set_result(message.boot)

    async def answered(self) -> bytes | None:
        """Ping until there is an answer or the time is over; the boot that it came from."""
        for _ in range(int(_DIAL / _RESEND)):
            try:
                self._transport.send(self._ping)
                async with asyncio.timeout(_RESEND):
                    return await asyncio.shield(self._heard)
            except TimeoutError:
                continue
            except ProtocolError:
                return None
        return None
