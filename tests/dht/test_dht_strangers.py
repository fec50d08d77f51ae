"""Strangers and liars with keys of their own: no reflection, no crash, no poisoned answer."""

import asyncio
import contextlib
import random
from typing import Any, TypeAlias

import pytest

from pockethive.core.errors import ProtocolError
from pockethive.dht import wire
from pockethive.dht.contact import Contact
from pockethive.dht.identity import node_id
from pockethive.dht.methods import Methods
from pockethive.dht.node import Node
from pockethive.dht.seal import Sealer
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import PORT, VirtualTransport, World
from pockethive.dht.testing import RULES, key, note, play, signed, somebody
from pockethive.dht.transport import Message
from pockethive.dht.wire import HEAD
from tests.dht.listening import end_of

Call: TypeAlias = tuple[str, *tuple[object, ...]]  # a method and its arguments


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


def bundle_of(requests: list[bytes]) -> bytes:
    heads = (HEAD.pack(wire.REQUEST, 900 + n, 0, 1) for n in range(len(requests)))
    (plain,) = wire.bundle([head + body for head, body in zip(heads, requests, strict=True)])
    return plain


def test_an_unproved_address_gets_no_more_than_it_sent_and_enters_no_table() -> None:
    """A spoofing sender over every path: all methods, repeats, bundles, direct requests."""

    async def story(world: World, nodes: list[Node]) -> None:
        node = nodes[0]
        node.serve("big", lambda peer, body: bytes(8000))
        node.serve("small", lambda peer, body: b"")
        await node.put(signed(world, node, "place", bytes(1000)))
        victim = Stranger(world, ("10.66.6.6", PORT))  # hears all and answers nothing
        methods: list[Call] = [
            ("ping",),
            ("find_node", key("x")),
            ("find_value", key("place")),
            ("fetch", key("place"), bytes(16)),
            ("store", note(victim.identity).encode()),
            ("deposit", note(victim.identity).encode(), key("far"), b""),
            ("hold", [note(victim.identity).encode()]),
            ("lacks", key("far") + bytes(16)),
            ("ask", "big", b""),
            ("ask", "small", bytes(100)),
            ("ask", "none", b""),
            ("dial", 0),
            ("twin",),
            ("dial_for", b""),
            ("no such",),
        ]
        for number, (method, *arguments) in enumerate(methods):
            heard = sum(map(len, victim.ears.heard))
            sent = sum(victim.request(node, number, method, *arguments) for _ in range(3))
            await asyncio.sleep(20)
            got = sum(map(len, victim.ears.heard)) - heard
            assert got <= sent, method
        for method, *arguments in methods:
            heard = sum(map(len, victim.ears.heard))
            request = wire.pack_request(method, arguments)
            sent = victim.send(node, bundle_of([request] * (1000 // (len(request) + 13) or 2)))
            await asyncio.sleep(20)
            assert sum(map(len, victim.ears.heard)) - heard <= sent, f"{method} in a bundle"
        sent = victim.send(node, HEAD.pack(wire.REQUEST, 99, 0, 1) + b"\x91\xa1x")
        await asyncio.sleep(20)
        assert victim.identity.public not in {c.public for each in nodes for c in each.contacts()}

    play(story, 10)


def test_an_answer_from_another_address_than_asked_proves_nothing() -> None:
    """Else a liar could answer with a victim's source address, and have more sent there."""

    async def story(world: World, nodes: list[Node]) -> None:
        node, liar = nodes
        here, victim = liar.contact.address, ("10.66.6.6", PORT)
        ears = Ears()
        world.net.bind(VirtualTransport(world.net, ears, victim))
        end = end_of(liar)
        node._protocol.proofs.forget(liar.identity.public, here)
        end.address = victim  # what it sends seems to come from there
        assert await node._protocol.call(liar.contact, "ping") == 0
        assert not node._protocol.proofs.holds(liar.identity.public, victim)
        sent = world.net.bytes
        liar._protocol.transport.send(
            Message(node.identity.public, node.contact.address, wire.REQUEST, 5, b"x" * 16)
        )
        await asyncio.sleep(5)
        assert sum(map(len, ears.heard)) <= world.net.bytes - sent
        end.address = here

    play(story, 2)


def test_strangers_are_refused_in_no_more_bytes_than_they_sent_and_may_only_join() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        (guest,) = nodes
        members: set[bytes] = set()
        settings = NodeSettings(admit=members.__contains__, open_methods=frozenset({"join"}))
        hosts = [world.node(RULES, settings) for _ in range(4)]
        members.update(host.identity.public for host in hosts)
        async with contextlib.AsyncExitStack() as stack:
            for host in hosts:
                await stack.enter_async_context(host)
                await host.join([hosts[0].contact])
            host = hosts[0]
            host.serve("join", lambda peer, body: b"welcome " + body)
            host.serve("other", lambda peer, body: b"")
            heard = Stranger(world, ("10.66.6.6", PORT))
            calls: list[Call] = [("ping",), ("find_node", key("x")), ("store", b"")]
            for number, (method, *arguments) in enumerate(calls):
                sent = heard.request(host, number, method, *arguments)
                await asyncio.sleep(5)
                (answer,) = heard.ears.heard
                assert len(answer) <= sent
                heard.ears.heard.clear()
            assert host.counters["stranger"] == 3
            with pytest.raises(ProtocolError, match="stranger"):
                await guest.request(host.contact, "other", b"")
            assert await guest.request(host.contact, "join", b"me") == b"welcome me"
            with pytest.raises(ProtocolError, match="stranger"):
                await guest._protocol.call(host.contact, "find_node", key("x"))
            assert all(guest.contact not in each.contacts() for each in hosts)
            members.add(guest.identity.public)
            await guest._protocol.call(host.contact, "ping")
            assert guest.contact in host.contacts()
            members.discard(guest.identity.public)  # shown the door: out of the table as well
            with pytest.raises(ProtocolError, match="stranger"):
                await guest._protocol.call(host.contact, "ping")
            assert guest.contact not in host.contacts()

    play(story, 1)


def test_strangers_whom_others_name_are_not_asked() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        inside = {node.identity.public for node in nodes[:4]}
        strict = world.node(RULES, NodeSettings(admit=inside.__contains__))
        async with strict:
            await strict.join([nodes[0].contact])
            await strict.get(key("x"))
            assert {contact.public for contact in strict.contacts()} == inside

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
        calls: list[Call] = [
            ("find_node", b"short"),
            ("find_node", 7),
            ("find_node",),
            ("fetch", bytes(20), 3),
            ("store", b"no record"),
            ("hold", [b"no record"]),
            ("hold", b"no list"),
            ("hold", [b""] * 9),
            ("lacks", bytes(35)),
            ("lacks", bytes(31 * 36)),
            ("deposit", b"no record"),
            ("deposit", b"no record", bytes(20), b""),
            ("deposit", note(stranger.identity).encode(), bytes(20), b"cut"),
            ("deposit", note(stranger.identity).encode(), bytes(19), b""),
            ("deposit", note(stranger.identity).encode(), bytes(20), bytes(8 * 65)),
            ("deposit",),
            ("no such method",),
            ("ask", "unknown", b""),
            ("__init__",),
        ]
        for number, (method, *arguments) in enumerate(calls):
            stranger.request(node, 100 + number, method, *arguments)
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
            protocol._methods = LyingMethods(
                protocol.router, liar._running.storage, protocol.counters
            )
        for number, record in enumerate(records):
            reader = nodes[1 + number]
            assert await reader.get(record.key) == (record,)
            found = await reader._running.locate(record.key)
            assert found.asked <= 8 * 12

    play(story, 30)
