"""A virtual clock and a virtual network that run the very `Node` class, thousands of times faster.

Guards: one seed, one trace. Time moves only when nothing is left to do; latency, loss and every
random byte come from the seed; no thread, file or real socket takes part. `World.trace` hashes
every datagram with its time of arrival, so two runs can be compared by 32 bytes.
"""

import asyncio
import bisect
import hashlib
import random
import selectors
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from pockethive.core.errors import NetworkError
from pockethive.dht.carrier import Answer, Kind, Reply, missing
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity, node_id
from pockethive.dht.node import Node
from pockethive.dht.reasons import Counts
from pockethive.dht.record import Record
from pockethive.dht.routing import Peer
from pockethive.dht.rules import Rules
from pockethive.dht.settings import NodeSettings
from pockethive.dht.transport import Address

_T = TypeVar("_T")

EPOCH: Final = 1_800_000_000.0  # unix seconds at which every simulation begins
PORT: Final = 4400
_BITS: Final = 160
_LONG_AGO: Final = -1e6  # seconds of the loop's clock


class _Clockwork(selectors.BaseSelector):
    """A selector that never waits: `select` moves the loop's clock by its timeout."""

    def __init__(self) -> None:
        self.now = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("the simulation waits for something that never comes")
        self.now += max(0.0, timeout)
        return []

    def register(self, *_: Any, **__: Any) -> selectors.SelectorKey:
        raise RuntimeError("a simulation has no real sockets")

    def unregister(self, *_: Any) -> selectors.SelectorKey:
        raise RuntimeError("a simulation has no real sockets")

    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock. Work for threads is done at once, in the loop."""

    def __init__(self, net: "VirtualNet") -> None:
        self._clockwork, self._net = _Clockwork(), net
        super().__init__(self._clockwork)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._clockwork.now

    def _make_self_pipe(self) -> None:
        """No thread wakes this loop."""

    def _close_self_pipe(self) -> None:
        """There is none."""

    def _write_to_self(self) -> None:
        """There is none."""

    def run_in_executor(
        self,
        executor: object,  # noqa: ARG002 - asyncio names it
        func: Callable[..., _T],
        *args: object,
    ) -> "asyncio.Future[_T]":
        future: asyncio.Future[_T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - an executor hands every error to its future
            future.set_exception(error)
        return future

    async def create_datagram_endpoint(  # type: ignore[override]  # the two arguments kademlia uses
        self,
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local_addr: Address,
    ) -> tuple["VirtualTransport", asyncio.DatagramProtocol]:
        protocol = protocol_factory()
        transport = VirtualTransport(self._net, protocol, self._net.place(local_addr))
        self._net.bind(transport)
        protocol.connection_made(transport)
        return transport, protocol


class VirtualTransport(asyncio.DatagramTransport):
    """One end on the virtual network."""

    def __init__(
        self, net: "VirtualNet", protocol: asyncio.DatagramProtocol, address: Address
    ) -> None:
        super().__init__()
        self.protocol, self.address = protocol, address
        self._net, self._closed = net, False

    def sendto(self, data: Any, addr: Any = None) -> None:
        if not self._closed:
            self._net.send(self.address, bytes(data), addr)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._net.unbind(self)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.address if name == "sockname" else default


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How datagrams travel: fixed and exponential part of latency (seconds), loss (0 to 1)."""

    latency: float = 0.04
    jitter: float = 0.03
    loss: float = 0.0


class VirtualNet:
    """Carries datagrams between virtual transports; seeded."""

    def __init__(self, seed: int, link: Link) -> None:
        self.link = link
        self.cut: Callable[[Address, Address], bool] | None = None
        self.answers: dict[Address, tuple[bytes, Answer]] = {}
        self.sent = self.lost = self.bytes = self.biggest = 0
        self.trace = hashlib.sha256()
        self._random = random.Random(f"net {seed}")  # noqa: S311 - a simulation repeats itself
        self._ends: dict[Address, VirtualTransport] = {}

    def place(self, address: Address) -> Address:
        """The address, with a free port instead of 0."""
        host, port = address
        while not port:
            drawn = self._random.randrange(49152, 65536)
            port = 0 if (host, drawn) in self._ends else drawn
        return host, port

    def bind(self, transport: VirtualTransport) -> None:
        if transport.address in self._ends:
            raise OSError(98, "address in use")
        self._ends[transport.address] = transport

    def unbind(self, transport: VirtualTransport) -> None:
        self._ends.pop(transport.address, None)

    def delay(self) -> float:
        """Seconds that the next packet takes."""
        link = self.link
        return link.latency + (self._random.expovariate(1 / link.jitter) if link.jitter else 0.0)

    def blocked(self, source: Address, target: Address) -> bool:
        return self.cut is not None and self.cut(source, target)

    def send(self, source: Address, data: bytes, target: Address) -> None:
        self.sent += 1
        self.bytes += len(data)
        self.biggest = max(self.biggest, len(data))
        lost = self._random.random() < self.link.loss
        if lost or self.blocked(source, target):
            self.lost += 1
            return
        loop = asyncio.get_running_loop()
        loop.call_later(self.delay(), self._deliver, source, data, target)

    def _deliver(self, source: Address, data: bytes, target: Address) -> None:
        end = self._ends.get(target)
        if end is None:
            self.lost += 1
            return
        now = asyncio.get_running_loop().time()
        self.trace.update(f"{now:.9f} {source} {target} ".encode() + data)
        end.protocol.datagram_received(data, source)


class VirtualCarrier:
    """Blobs through memory, with the network's latency and partitions and the same permissions."""

    def __init__(self, net: VirtualNet, identity: Identity) -> None:
        self._net, self._identity = net, identity
        self._address: Address | None = None
        self.counters = Counts()

    async def listen(self, contact: Contact, answer: Answer) -> None:
        self._address = contact.address
        self._net.answers[contact.address] = contact.public, answer

    async def ask(self, contact: Contact, name: str, index: int) -> Reply:
        assert self._address is not None
        await asyncio.sleep(2 * self._net.delay())
        public, answer = self._net.answers.get(contact.address, (b"", None))
        cut = self._net.blocked(self._address, contact.address)
        if answer is None or public != contact.public or cut:
            raise NetworkError("no blob server there", where=f"{contact.host}:{contact.port}")
        reply = answer(self._identity.public, name, index)
        if reply.kind is Kind.REFUSED:
            raise missing(contact)
        return reply

    def hang_up(self, contact: Contact) -> None:
        """There is no connection."""

    async def close(self) -> None:
        if self._address is not None:
            self._net.answers.pop(self._address, None)


class World:
    """A virtual network, its loop and its nodes.

    world = World(seed=7)
    a, b = world.node(rules), world.node(rules)
    world.run(story(a, b))
    """

    def __init__(self, seed: int, link: Link | None = None) -> None:
        self.seed = seed
        self.net = VirtualNet(seed, link or Link())
        self.loop = VirtualLoop(self.net)
        self._made = 0

    @property
    def trace(self) -> str:
        """Hash of everything delivered so far."""
        return self.net.trace.hexdigest()

    def clock(self) -> float:
        """Wall time, unix seconds."""
        return EPOCH + self.loop.time()

    def node(self, rules: Rules, settings: NodeSettings | None = None) -> Node:
        """The next node."""
        own, identity = self.newcomer(settings)
        return Node(own, identity, rules)

    def newcomer(self, settings: NodeSettings | None = None) -> tuple[NodeSettings, Identity]:
        """What the next node is made of, for whoever needs its key before its rules.

        Identity, address and randomness follow from the seed and the node's number.
        """
        self._made += 1
        number = self._made
        source = random.Random(f"node {self.seed} {number}")  # noqa: S311 - repeats itself
        identity = Identity.from_seed(source.randbytes(32))
        host = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        own = replace(
            settings or NodeSettings(),
            listen=(host, PORT),
            home=None,
            clock=self.clock,
            randbytes=source.randbytes,
            carrier=lambda owner: VirtualCarrier(self.net, owner),
        )
        return own, identity

    def run(self, story: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine to its end in virtual time."""
        return self.loop.run_until_complete(story)

    def close(self) -> None:
        """End what a broken story left behind, and the loop."""
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left))
        self.loop.close()


def seed_tables(nodes: Sequence[Node], rng: random.Random) -> None:
    """Give running nodes the tables of a long quiet life, through their own `add_contact`.

    Of the nodes that part from a node's id at the same bit, it knows all when they are at most k,
    else k drawn by `rng`. They are no newcomers to each other: nobody hands them anything.
    """
    order = sorted((int.from_bytes(node_id(n.contact.public), "big"), n.contact) for n in nodes)
    ids = [number for number, _ in order]
    for node in nodes:
        own = int.from_bytes(node.identity.node_id, "big")
        router = node._protocol.router  # noqa: SLF001 - what years would have put there
        most, told, router.entered = node.settings.k, router.entered, _long_known
        for bit in range(_BITS - 1, -1, -1):
            low = (own ^ 1 << bit) >> bit << bit
            first, last = bisect.bisect_left(ids, low), bisect.bisect_left(ids, low + (1 << bit))
            there = range(first, last)
            for at in there if len(there) <= most else rng.sample(there, most):
                known = Peer(order[at][1])
                router.add_contact(known)
                known.since = _LONG_AGO
            if _alone(ids, own, bit):
                break
        router.entered = told


def place_records(nodes: Sequence[Node], records: Iterable[Record]) -> None:
    """Give running nodes the records of a long quiet life: each is with the k nearest to its key.

    It is joined as if it had come over the network: rules and signatures are looked at.
    """
    shelves: dict[bytes, list[Record]] = {}
    for record in records:
        shelves.setdefault(record.key, []).append(record)
    for key, shelf in shelves.items():
        goal = int.from_bytes(key, "big")
        order = sorted(nodes, key=lambda n: int.from_bytes(n.identity.node_id, "big") ^ goal)
        for node in order[: nodes[0].settings.k]:
            node._running.storage.join(shelf)  # noqa: SLF001 - as for the tables


def _long_known(_peer: Peer) -> None:
    """No news."""


def _alone(ids: Sequence[int], own: int, bit: int) -> bool:
    """Whether no other id shares the bits before this one, and this one."""
    low = own >> bit << bit
    return bisect.bisect_left(ids, low + (1 << bit)) - bisect.bisect_left(ids, low) == 1
