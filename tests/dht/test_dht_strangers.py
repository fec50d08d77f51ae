"""Strangers and liars with keys of their own: no reflection, no crash, no poisoned answer."""

import asyncio
import random
from typing import Any

from pockethive.dht import wire
from pockethive.dht.contact import Contact
from pockethive.dht.identity import node_id
from pockethive.dht.methods import Methods
from pockethive.dht.node import Node
from pockethive.dht.seal import Sealer
from pockethive.dht.simulation import PORT, VirtualTransport, World
from pockethive.dht.testing import key, play, signed, somebody
from pockethive.dht.wire import HEAD


class Ears(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard.append(data)


class Stranger:
    """Somebody with a key of his own who speaks raw datagrams from any address."""

    def __init__(self, world: World, address: tuple[str, int]) -> None:
        self.identity = somebody("stranger")
        self._sealer = Sealer(self.identity, world.clock, bytes)
        self.ears = Ears()
        self._transport = VirtualTransport(world.net, self.ears, address)
        world.net.bind(self._transport)

    def request(self, to: Node, ident: int, method: str, *arguments: object) -> int:
        """Send a request; its size."""
        head = HEAD.pack(wire.REQUEST, ident, 0, 1)
        return self.send(to, head + wire.pack_request(method, arguments))

    def send(self, to: Node, plain: bytes) -> int:
        datagram = self._sealer.seal(to.identity.public, plain)
        self._transport.sendto(datagram, to.contact.address)
        return len(datagram)


def test_an_unproved_address_gets_no_more_than_it_sent_and_enters_no_table() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        victim = Stranger(world, ("10.66.6.6", PORT))  # hears all and answers nothing
        sent = [victim.request(nodes[0], n, "find_node", key("x")) for n in range(20)]
        await asyncio.sleep(5)
        answers = [data for data in victim.ears.heard if len(data) > min(sent)]
        assert answers == []
        assert len(victim.ears.heard) <= 20 + 2  # one answer each, and one probe, sent twice
        assert all(c.public != victim.identity.public for c in nodes[0].contacts())

    play(story, 10)


def test_malformed_requests_of_an_authenticated_peer_cost_one_counted_drop_each() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        node, peer = nodes
        stranger = Stranger(world, ("10.66.6.6", PORT))
        head = HEAD.pack(wire.REQUEST, 1, 0, 1)
        bad: list[tuple[str, bytes]] = [
            ("head", b""),
            ("head", HEAD.pack(9, 1, 0, 1)),
            ("head", HEAD.pack(0, 1, 3, 2)),
            ("head", HEAD.pack(0, 1, 0, 0)),
            ("msgpack", head + b"\xc1"),
            ("msgpack", head + b"\x91" * 1000),
            ("shape", head + b"\x90"),
            ("late", HEAD.pack(wire.REPLY, 1, 0, 1) + wire.pack_reply(1)),
            ("proof", HEAD.pack(wire.PROOF, 1, 0, 1) + bytes(8)),
        ]
        for expected, plain in bad:
            before = node.counters.get(expected, 0)
            stranger.send(node, plain)
            await asyncio.sleep(1)
            assert node.counters.get(expected, 0) == before + 1, plain
        for number, call in enumerate(
            [
                ("find_node", b"short"),
                ("find_node", 7),
                ("find_node",),
                ("fetch", bytes(20), 3),
                ("store", b"no record"),
                ("no such method",),
                ("ask", "unknown", b""),
                ("__init__",),
            ]
        ):
            stranger.request(node, 100 + number, *call)  # type: ignore[arg-type]
        await asyncio.sleep(2)
        assert node.counters.get("internal", 0) == 0
        record = signed(world, peer, "place", b"still here")
        assert await peer.put(record) == 2
        assert await node.get(record.key) == (record,)

    play(story, 2)


class LyingMethods(Methods):
    """Answers every search with made-up contacts, the nearest of many to what was asked for."""

    def answer(self, asker: Contact, method: str, arguments: list[Any]) -> object:
        if method not in {"find_node", "find_value"}:
            return super().answer(asker, method, arguments)
        goal = int.from_bytes(arguments[0], "big")
        rng = random.Random(goal)
        keys = [rng.randbytes(32) for _ in range(100)]
        keys.sort(key=lambda public: int.from_bytes(node_id(public), "big") ^ goal)
        fakes = [Contact(public, "10.13.13.13", 1 + n) for n, public in enumerate(keys[:8])]
        packed = wire.pack_contacts(fakes)
        return packed if method == "find_node" else [packed, bytes(16), [b"no record"]]


def test_a_fifth_of_the_nodes_lying_slows_reads_and_does_not_spoil_them() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        records = [signed(world, nodes[0], f"place {n}", b"%d" % n) for n in range(10)]
        for record in records:
            await nodes[0].put(record)
        for liar in nodes[24:]:
            protocol = liar._protocol
            protocol._methods = LyingMethods(protocol.router, liar._running.storage)
        for number, record in enumerate(records):
            reader = nodes[1 + number]
            assert await reader.get(record.key) == (record,)
            found = await reader._running.locate(record.key)
            assert found.asked <= 8 * 12

    play(story, 30)
