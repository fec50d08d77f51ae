"""Lookups and reads against slow, silent and lying nodes: bounded, and true in the end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

import pytest

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht import wire
from pockethive.dht.contact import Contact
from pockethive.dht.identity import node_id
from pockethive.dht.lookup import QUESTIONS_PER_K, Found, Lookup
from pockethive.dht.methods import Methods
from pockethive.dht.node import Node
from pockethive.dht.record import sign_record
from pockethive.dht.rules import NOTE
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import Link, World
from pockethive.dht.testing import LIES, Liar, key, nearest, play, signed, somebody
from tests.dht.listening import tell_calls

K = 8


def alone(run: Callable[[], Awaitable[Found]]) -> tuple[Found, float]:
    """What a lookup found in virtual time, and how many seconds it took."""
    world = World(1)

    async def story() -> tuple[Found, float]:
        found = await run()
        return found, world.loop.time()

    try:
        return world.run(story())
    finally:
        world.close()


def crowd(name: str, count: int) -> list[Contact]:
    return [Contact(somebody(f"{name} {n}").public, "10.0.0.1", 1 + n) for n in range(count)]


def distance(contact: Contact, target: bytes) -> int:
    own = int.from_bytes(node_id(contact.public), "big")
    return own ^ int.from_bytes(target, "big")


def test_peers_that_name_ever_nearer_nodes_are_asked_a_bounded_number_of_times() -> None:
    target, own = key("target"), somebody("own").public
    ladder = sorted(crowd("rung", 3000), key=lambda c: distance(c, target), reverse=True)
    heard: list[Contact] = []

    async def question(contact: Contact) -> list[Contact]:
        heard.append(contact)
        await asyncio.sleep(0.01)
        at = ladder.index(contact)
        return ladder[at + 1 : at + 3]  # always somebody who is nearer still

    found, seconds = alone(lambda: Lookup(target, own, k=K, alpha=3).run(ladder[:K], question, 5))
    assert not found.complete
    assert len(heard) == len(set(heard)) == K * QUESTIONS_PER_K
    assert seconds < 5


def test_an_answer_of_thousands_of_contacts_counts_for_k() -> None:
    target, own = key("target"), somebody("own").public
    many = crowd("many", 2000)
    heard: list[Contact] = []

    async def question(contact: Contact) -> list[Contact]:
        heard.append(contact)
        if contact != many[0]:
            raise NetworkError("no answer")
        return many[1:]

    found, _ = alone(lambda: Lookup(target, own, k=K, alpha=3).run(many[:1], question, 5))
    assert found.contacts == (many[0],)
    assert len(heard) <= 1 + K


def test_a_lookup_ends_with_its_budget_when_nobody_ever_answers() -> None:
    async def question(contact: Contact) -> list[Contact]:
        await asyncio.sleep(3600)
        return []

    lookup = Lookup(key("target"), somebody("own").public, k=K, alpha=3)
    found, seconds = alone(lambda: lookup.run(crowd("mute", 40), question, 2.5))
    assert found.contacts == ()
    assert not found.complete
    assert seconds == pytest.approx(2.5, abs=0.01)


def test_who_keeps_naming_nodes_that_are_not_there_is_believed_no_longer() -> None:
    target, own = key("target"), somebody("own").public
    real = sorted(crowd("real", 9), key=lambda c: distance(c, target))
    fakes = sorted(crowd("fake", 4000), key=lambda c: distance(c, target))[:K]
    asked: list[Contact] = []

    async def question(contact: Contact) -> list[Contact]:
        asked.append(contact)
        if contact in fakes:
            await asyncio.sleep(1)
            raise NetworkError("no answer")
        await asyncio.sleep(0.01)
        return fakes if contact == real[-1] else []

    found, _ = alone(lambda: Lookup(target, own, k=K, alpha=3).run(real, question, 5))
    assert found.complete
    assert list(found.contacts) == real[:K]
    assert sum(contact in fakes for contact in asked) < K


def test_paths_share_no_node_and_find_the_k_nearest_together() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        for number in range(8):
            asker, target = nodes[number], key(f"target {number}")
            asked: list[bytes] = []

            def called(method: str, contact: Contact) -> None:
                if method == "find_node":  # strangers are pinged meanwhile
                    asked.append(contact.public)  # noqa: B023 - called before the next round

            tell_calls(asker, called)
            found = await asker._running.locate(target, careful=True)
            others = [node for node in nodes if node is not asker]
            assert list(found.contacts) == nearest(others, target, K)
            assert len(asked) == len(set(asked)) == found.asked

    play(story, 60)


def test_careful_reads_find_what_liars_hide_and_nothing_forged() -> None:
    tally = {False: 0, True: 0}

    async def story(world: World, nodes: list[Node]) -> None:
        for number, node in enumerate(nodes[30:]):
            Liar(node, LIES[number % len(LIES)])
        records = [signed(world, nodes[n], f"place {n}", b"%d" % n) for n in range(10)]
        for number, record in enumerate(records):
            await nodes[number].put(record)
        for number, record in enumerate(records):
            for careful in (False, True):
                reader = nodes[(number + 11) % 30]
                begun = world.clock()
                found = await reader.get(record.key, careful=careful)
                assert found in ((record,), ())
                tally[careful] += found == (record,)
                assert world.clock() - begun < 5.1

    play(story, 40)
    assert tally[True] == 10


def test_a_careful_search_finds_a_device_that_is_in_no_table_of_the_asker() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        for node in nodes[30:]:
            Liar(node, "closer")
        for number in range(10):
            asker, sought = nodes[number], nodes[29 - number]
            assert await asker.find(sought.identity.public, careful=True) == sought.contact
        assert await nodes[0].find(somebody("nobody").public, careful=True) is None

    play(story, 40)


def test_one_lost_datagram_is_sent_again_before_anybody_counts_as_silent() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        one, two = nodes
        for _ in range(20):  # the round trip is known now
            await one._protocol.call(two.contact, "ping")
        lost = [True]

        def drop_one(source: object, target: object) -> bool:
            return bool(lost and lost.pop())

        world.net.cut = drop_one
        begun = world.clock()
        await one._protocol.call(two.contact, "ping")
        assert 0.3 < world.clock() - begun < 1.0
        assert one.counters.get("timeout", 0) == 0
        world.net.cut = lambda source, target: True
        begun = world.clock()
        with pytest.raises(NetworkError):
            await one._protocol.call(two.contact, "ping")
        assert world.clock() - begun < 1.5  # stock kademlia: always 5 s
        assert two.contact in one.contacts()  # one silence evicts nobody

    play(story, 2)


@pytest.mark.parametrize("latency", [0.005, 0.15])
def test_waiting_adapts_to_the_network_and_survives_loss(latency: float) -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        seconds = []
        for number in range(20):
            record = signed(world, nodes[number], f"place {number}", b"body")
            assert await nodes[number].put(record) >= K - 2
            begun = world.clock()
            assert await nodes[-1 - number].get(record.key) == (record,)
            seconds.append(world.clock() - begun)
        assert median(seconds) < 12 * latency + 0.7

    play(story, 24, link=Link(latency=latency, jitter=latency / 4, loss=0.1))


def test_every_operation_ends_within_its_budget_when_the_network_is_gone() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        node, there = nodes[0], nodes[1]
        record = signed(world, node, "place", b"body", life=6000)
        operations: list[tuple[float, Callable[[], Awaitable[object]]]] = [
            (2.0, lambda: node.put(record)),
            (2.0, lambda: node.get(record.key)),
            (2.0, lambda: node.get(record.key, careful=True)),
            (2.0, lambda: node.find(somebody("x").public)),
            (6.0, lambda: node.join([there.contact])),
            (3.0, lambda: node.request(somebody("x").public, "echo", b"")),
            (3.0, lambda: node.request(there.contact, "echo", b"")),
        ]
        world.net.cut = lambda a, b: True
        for limit, operation in operations:
            begun = world.clock()
            with contextlib.suppress(NetworkError, ProtocolError):
                await operation()
            assert world.clock() - begun < limit + 0.01

    play(story, 20, settings=NodeSettings(budget=2.0))


class Hoarder(Methods):
    """Claims to hold hundreds of records, and is slow to admit that it does not."""

    def answer(self, asker: Contact, method: str, arguments: list[Any]) -> object:
        if method == "fetch":
            return []
        answer = super().answer(asker, method, arguments)
        if method == "find_value":
            assert isinstance(answer, list)
            contacts, digests, inline = answer
            made_up = b"".join(bytes([n]) * 16 for n in range(200))
            return [contacts, made_up + digests, inline]
        return answer


def test_a_holder_that_claims_what_it_does_not_give_is_asked_no_more() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        expires = int(world.clock()) + 600
        slots = [b"%d" % slot for slot in range(12)]
        records = [
            sign_record(nodes[0].identity, NOTE, key("busy"), slot, expires, bytes(900))
            for slot in slots
        ]
        for record in records:
            await nodes[0].put(record)
        for node in nodes[8:]:
            protocol = node._protocol
            protocol._methods = Hoarder(protocol.router, protocol.storage, protocol.counters)
        before = world.net.sent
        found = await nodes[1].get(key("busy"))
        assert sorted(r.digest for r in found) == sorted(r.digest for r in records)
        assert world.net.sent - before < 400

    play(story, 12)


def test_contacts_beyond_k_make_an_answer_worthless() -> None:
    packed = wire.pack_contacts(crowd("many", K + 1))
    with pytest.raises(ProtocolError):
        wire.unpack_contacts(packed, K)
