"""What nodes do unasked: holders repaired after reads, newcomers given what is theirs, an hourly
offer by one instead of by all."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.core.errors import ProtocolError
from pockethive.dht.contact import Contact
from pockethive.dht.handover import neighbourhood
from pockethive.dht.methods import Methods
from pockethive.dht.node import Node
from pockethive.dht.record import Record
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import Link, World
from pockethive.dht.testing import RULES, Liar, nearest, play, signed
from tests.dht.listening import tell_calls

K = 8
STILL = NodeSettings(upkeep=1e9)  # only reads and arrivals move records


def holders(nodes: list[Node], record: Record) -> set[bytes]:
    """Public keys of the running nodes that hold a record."""
    return {
        node.identity.public
        for node in nodes
        if node._server is not None and record in node._running.storage.live(record.key)
    }


def closest(nodes: list[Node], target: bytes) -> list[Node]:
    """The nodes that should hold a key, nearest first."""
    by_key = {node.identity.public: node for node in nodes}
    return [by_key[contact.public] for contact in nearest(nodes, target, K)]


def calls(nodes: list[Node]) -> Counter[tuple[str, bytes]]:
    """Counts from now on, by method and by the key that is called."""
    made: Counter[tuple[str, bytes]] = Counter()

    def called(method: str, contact: Contact) -> None:
        made[method, contact.public] += 1

    for node in nodes:
        tell_calls(node, called)
    return made


def test_a_read_repairs_holders_that_lack_a_record_or_hold_a_stale_one() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        old = signed(world, nodes[0], "place", b"old", life=1000)
        await nodes[0].put(old)
        away = {node.contact.address for node in closest(nodes[1:], old.key)[:4]}
        world.net.cut = lambda a, b: a in away or b in away
        new = signed(world, nodes[0], "place", b"new", life=2000)
        await nodes[0].put(new)
        world.net.cut = None
        should = {node.identity.public for node in closest(nodes, new.key)}
        assert not should <= holders(nodes, new)
        reader = next(node for node in nodes if node.identity.public not in should)
        assert (await reader.get(new.key))[0] == new
        await asyncio.sleep(5)
        assert should <= holders(nodes, new)
        for node in closest(nodes, new.key):
            assert node._running.storage.live(new.key)[0] == new

    play(story, 20, settings=STILL)


def test_readers_do_not_spread_what_liars_forge() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[0], "place", b"true")
        await nodes[0].put(record)
        liars = closest(nodes[1:], record.key)[:3]
        for node in liars:
            Liar(node, "poison")
        honest = [node for node in nodes if node not in liars]
        for node in honest:
            assert await node.get(record.key) == (record,)
        await asyncio.sleep(60)
        for node in honest:
            bodies = {held.body for held in node._running.storage.live(record.key)}
            assert bodies <= {b"true"}

    play(story, 20, settings=STILL)


class Refusing(Methods):
    """Its rules are stricter: it keeps nothing."""

    def answer(self, asker: Contact, method: str, arguments: list[Any]) -> object:
        if method == "store":
            raise ProtocolError("not here")
        if method == "deposit":
            wanted = Record.decode(arguments[0]).key
            return [0, super().answer(asker, "find_node", [wanted])]
        return super().answer(asker, method, arguments)


def test_a_holder_that_does_not_want_a_record_is_not_pestered_with_it() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[0], "place", b"body", life=5000)
        strict = closest(nodes[1:], record.key)[0]
        protocol = strict._protocol
        protocol._methods = Refusing(protocol.router, protocol.storage, protocol.counters)
        await nodes[0].put(record)
        made = calls(nodes)
        for _ in range(50):
            assert await nodes[2].get(record.key) == (record,)
        await asyncio.sleep(1)
        assert made["store", strict.identity.public] <= 1

    play(story, 20, settings=STILL)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_after_joins_the_right_nodes_hold_the_right_keys(seed: int) -> None:
    stored = Counter[bool]()

    async def story(world: World, nodes: list[Node]) -> None:
        records = [signed(world, nodes[n % 24], f"place {n}", b"%d" % n) for n in range(60)]
        for number, record in enumerate(records):
            await nodes[number % 24].put(record)
        made = calls(nodes)
        newcomers = [world.node(RULES, STILL) for _ in range(6)]
        for node in newcomers:
            await node.start()
            await node.join([nodes[0].contact])
            await asyncio.sleep(10)
        everybody = [*nodes, *newcomers]
        owed = given = 0
        for record in records:
            held = holders(everybody, record)
            for node in closest(everybody, record.key):
                if node in newcomers:
                    owed += 1
                    stored[node.identity.public in held] += 1
        given = sum(made["store", node.identity.public] for node in newcomers)
        assert given <= 1.25 * owed, "several holders gave the same"
        for node in newcomers:
            await node.stop()

    play(story, 24, seed=seed, settings=STILL)
    assert sum(stored.values()) > 50
    assert stored[False] == 0


def test_a_newcomer_is_given_nothing_that_is_not_its_own() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        records = [signed(world, nodes[n % 40], f"place {n}", b"%d" % n) for n in range(80)]
        for number, record in enumerate(records):
            await nodes[number % 40].put(record)
        newcomer = world.node(RULES, STILL)
        async with newcomer:
            await newcomer.join([nodes[0].contact])
            await asyncio.sleep(20)
            everybody = [*nodes, newcomer]
            theirs = [r for r in records if newcomer in closest(everybody, r.key)]
            held = [r for r in records if newcomer.identity.public in holders([newcomer], r)]
            assert {r.digest for r in held} == {r.digest for r in theirs}
            assert len(held) < 40

    play(story, 40, settings=STILL)


def test_a_newcomer_that_vanishes_again_costs_one_offer_of_what_was_its_own() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        records = [signed(world, nodes[0], f"place {number}", b"body") for number in range(60)]
        for record in records:
            await nodes[0].put(record)
        newcomer = world.node(RULES, STILL)
        await newcomer.start()
        await newcomer.join([nodes[0].contact])
        everybody = [*nodes, newcomer]
        shared = sum(newcomer in closest(everybody, record.key) for record in records)
        await newcomer.stop()
        before = world.net.sent
        await asyncio.sleep(60)
        # A question and an answer each: one holder looks for its place, and offers to all k.
        assert world.net.sent - before < 150 + shared * 2 * (2 * K), shared

    play(story, 20, settings=STILL)


def test_one_of_the_holders_offers_a_record_each_hour_not_all_of_them() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[0], "place", b"body", life=2 * 86400)
        await nodes[0].put(record)
        made = calls(nodes)
        before = world.net.sent
        await asyncio.sleep(86400)
        offers = sum(count for (method, _), count in made.items() if method == "offer")
        # One lookup an hour asks some nine nodes; eight holders would ask eight times as many.
        assert 24 * K <= offers <= 30 * (K + 4)
        assert sum(count for (method, _), count in made.items() if method == "store") == 0
        # Stock kademlia sends 9,055 in a day for the same nodes and key, and repairs nothing.
        assert world.net.sent - before < 9000
        assert {node.identity.public for node in closest(nodes, record.key)} <= holders(
            nodes, record
        )

    play(story, 30)


def test_holders_go_on_when_the_author_is_gone_and_take_in_new_neighbours() -> None:
    quick = NodeSettings(upkeep=30, republish=60)

    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[0], "place", b"heirloom", life=50_000)
        await nodes[0].put(record)
        await nodes[0].stop()
        for node in closest(nodes[1:], record.key)[:6]:
            await node.stop()
            await asyncio.sleep(240)
        left = [node for node in nodes if node._server is not None]
        should = {node.identity.public for node in closest(left, record.key)}
        assert should <= holders(left, record)

    play(story, 24, settings=quick, link=Link(loss=0.02))


def test_who_offers_old_records_is_given_the_new_ones() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        old = signed(world, nodes[0], "place", b"old", life=1000)
        await nodes[0].put(old)
        stale = closest(nodes[1:], old.key)[0]
        address = stale.contact.address
        world.net.cut = lambda a, b: address in (a, b)
        new = signed(world, nodes[0], "place", b"new", life=2000)
        await nodes[0].put(new)
        world.net.cut = None
        await stale._running.upkeep.republish(old.key)
        assert stale._running.storage.live(old.key)[0] == new
        assert old not in (await nodes[3].get(old.key))[:1]

    play(story, 20, settings=STILL)


@settings(max_examples=60)
@given(st.integers(1, 30), st.integers(1, 9), st.randoms(use_true_random=False))
def test_the_keys_near_a_node_are_known_without_measuring_distances(
    count: int, k: int, rng: random.Random
) -> None:
    point, *others = (rng.getrandbits(160) >> rng.choice([0, 155]) for _ in range(count + 1))
    others = [other for other in others if other != point]
    low, high, near = neighbourhood(point, others, k)
    for _ in range(50):
        target = rng.choice([point, rng.getrandbits(160)]) ^ rng.getrandbits(rng.randrange(1, 160))
        nearer = sum((other ^ target) < (point ^ target) for other in others)
        assert (low <= target <= high and near(target.to_bytes(20, "big"))) == (nearer < k)
