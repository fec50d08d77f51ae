"""Helpers for tests of what is built on the DHT: identities by name, notes, small real hives.

Guards: nothing is mocked. These are the real classes with keys anyone can know: never use them
outside tests. For many nodes, time and lost datagrams, see `simulation.World`.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pockethive.core.canonical import digest
from pockethive.dht import wire
from pockethive.dht.carrier import Answer
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity, node_id
from pockethive.dht.methods import Methods
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.reach import Reach
from pockethive.dht.record import Record, sign_record
from pockethive.dht.routing import Peer
from pockethive.dht.rules import NOTE, OpenRules
from pockethive.dht.seal import Sealer
from pockethive.dht.simulation import Link, World
from pockethive.dht.store import RecordStore
from pockethive.dht.tls import TlsCarrier
from pockethive.dht.wire import HEAD, REQUEST, pack_request

NOW = 1_800_000_000.0  # unix seconds, for stores and records on a clock of their own
RULES = OpenRules()


def somebody(name: str) -> Identity:
    """The same identity for the same name, always."""
    return Identity.from_seed(digest("test", name.encode()))


def key(name: str) -> bytes:
    """The same 20-byte key for the same name."""
    return digest("test-key", name.encode())[:20]


def note(
    author: Identity, body: bytes = b"hello", *, expires: float = NOW + 600, slot: bytes = b""
) -> Record:
    """A signed note under `key("place")`."""
    return sign_record(author, NOTE, key("place"), slot, int(expires), body)


@contextlib.asynccontextmanager
async def hive(*homes: Path | None) -> AsyncIterator[list[Node]]:
    """Real nodes on loopback, one for each home, all joined through the first."""
    async with contextlib.AsyncExitStack() as stack:
        nodes: list[Node] = []
        for number, home in enumerate(homes):
            node = Node(NodeSettings(home=home), somebody(f"device {number}"), RULES)
            nodes.append(await stack.enter_async_context(node))
            await node.join([nodes[0].contact])
        yield nodes


@contextlib.asynccontextmanager
async def blob_server(identity: Identity, answer: Answer) -> AsyncIterator[Contact]:
    """A real blob server on loopback that answers as it is told; it leaves nothing open."""
    carrier = TlsCarrier(identity)
    await carrier.listen(Contact(identity.public, "127.0.0.1", 0), answer)
    assert carrier.server is not None
    try:
        yield Contact(identity.public, "127.0.0.1", carrier.server.port)
    finally:
        await carrier.close()
        assert not carrier.server.serving


Story = Callable[[World, list[Node]], Awaitable[None]]


def play(
    story: Story,
    size: int,
    seed: int = 1,
    link: Link | None = None,
    settings: NodeSettings | None = None,
) -> str:
    """Run a story with `size` joined nodes on a virtual network; the trace's hash.

    Fails when an exception reaches the loop or a node leaves a task behind.
    """
    world = World(seed, link)
    failures: list[dict[str, object]] = []
    world.loop.set_exception_handler(lambda _, context: failures.append(context))

    async def whole() -> None:
        async with contextlib.AsyncExitStack() as stack:
            nodes = [world.node(RULES, settings) for _ in range(size)]
            for node in nodes:
                await stack.enter_async_context(node)
            for node in nodes[1:]:
                await node.join([nodes[0].contact])
            await story(world, nodes)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a node left a task behind"

    try:
        world.run(whole())
    finally:
        world.close()
    assert failures == [], "an exception reached the loop"
    return world.trace


def signed(world: World, node: Node, where: str, body: bytes, life: float = 600) -> Record:
    """A node's note under `key(where)` that lives so many virtual seconds."""
    return sign_record(node.identity, NOTE, key(where), b"", int(world.clock() + life), body)


def nearest(nodes: list[Node], target: bytes, count: int) -> list[Contact]:
    """The contacts of the nodes that are nearest to a 20-byte target, by brute force."""

    def distance(node: Node) -> int:
        own = int.from_bytes(node_id(node.identity.public), "big")
        return own ^ int.from_bytes(target, "big")

    return [node.contact for node in sorted(nodes, key=distance)[:count]]


class Line(asyncio.DatagramTransport):
    """A transport that keeps what is sent, and delivers nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self._closed = False

    def sendto(self, data: object, addr: object = None) -> None:  # noqa: ARG002 - asyncio's
        assert isinstance(data, bytes)
        self.sent.append(data)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name == "sockname" else default

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True


class Receiver:
    """A node's protocol on a `Line`, and somebody with a key who sends to it. Needs a loop."""

    def __init__(self, settings: NodeSettings | None = None, seed: int = 1) -> None:
        self.now = NOW
        self.random = random.Random(seed)  # noqa: S311 - a test repeats itself
        own, self.sender = somebody("receiver"), somebody("sender")
        randbytes = self.random.randbytes
        self.settings = replace(
            settings or NodeSettings(), clock=lambda: self.now, randbytes=randbytes
        )
        store = RecordStore(RULES, clock=self.settings.clock)
        sealer = Sealer(own, self.settings.clock, randbytes)
        source = Peer(Contact(own.public, "127.0.0.1", 1))
        self.protocol = HiveProtocol(source, store, sealer, self.settings)
        self.reach = Reach(self.protocol, own, self.settings)
        self.line = Line()
        self.protocol.connection_made(self.line)
        self.public = own.public
        self.sealer = Sealer(self.sender, lambda: self.now, randbytes)
        self.sent = 0

    def hear(self, datagram: bytes, address: tuple[str, int] = ("127.0.0.1", 9)) -> None:
        self.protocol.datagram_received(datagram, address)

    def say(self, kind: int, payload: bytes, place: tuple[int, int] = (0, 1)) -> bytes:
        """A sealed message of the sender; `place` is the fragment's index and their count."""
        self.sent += 1
        return self.sealer.seal(self.public, HEAD.pack(kind, self.sent, *place) + payload)

    def ask(self, method: str, *arguments: object) -> bytes:
        """A sealed request of the sender."""
        return self.say(REQUEST, pack_request(method, arguments))


LIES: Final = ("garbage", "poison", "closer", "silent")
_CROWD: Final = 64  # made-up keys of which a liar names the nearest


class Liar(Methods):
    """A node's answers once it lies. It takes every record and keeps none.

    `garbage` names nodes that do not exist, `closer` such as lie nearer to the target than anybody,
    `poison` names true nodes and gives forged records, `silent` answers nothing but pings.
    """

    def __init__(self, node: Node, how: str) -> None:
        protocol = node._protocol  # noqa: SLF001 - it takes the place of what answers there
        super().__init__(protocol.router, protocol.storage, protocol.counters)
        self._how = how
        protocol._methods = self  # noqa: SLF001

    def answer(self, asker: Contact, method: str, arguments: list[Any]) -> object:
        if method == "store":
            return 1
        if method not in {"find_node", "find_value", "offer", "deposit"}:
            return super().answer(asker, method, arguments)
        if self._how == "silent":
            raise RuntimeError("says nothing")
        if method == "deposit":
            return [1, self.answer(asker, "find_node", [Record.decode(arguments[0]).key])]
        target = arguments[0]
        if self._how == "poison":
            contacts: object = super().answer(asker, "find_node", [target])
            forged = _forged(target)
            return (
                contacts
                if method == "find_node"
                else [contacts, forged.digest[:16], [forged.encode()]]
            )
        rng = random.Random(target + self._how.encode())  # noqa: S311 - a lie to be told again
        keys = [rng.randbytes(32) for _ in range(_CROWD)]
        if self._how == "closer":
            goal = int.from_bytes(target, "big")
            keys.sort(key=lambda public: int.from_bytes(node_id(public), "big") ^ goal)
        fakes = [Contact(public, "10.13.13.13", 1 + n) for n, public in enumerate(keys[:8])]
        packed = wire.pack_contacts(fakes)
        return packed if method == "find_node" else [packed, bytes(16), []]


def _forged(target: bytes) -> Record:
    """A record that looks newer than any and that its author never signed."""
    author = somebody("forged").public
    return Record(NOTE, target, author, b"", int(NOW) + 7 * 86400, b"poison", bytes(64))
