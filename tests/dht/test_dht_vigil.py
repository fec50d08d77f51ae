"""What happens when nodes go without a word: it is noticed, and others take over what they held."""

import asyncio

import pytest

from pockethive.dht.node import Node
from pockethive.dht.record import Record, sign_record
from pockethive.dht.rules import NOTE
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import Link, World
from pockethive.dht.testing import RULES, nearest, play, signed

K = 8
SELDOM = NodeSettings(upkeep=1e9, republish=1e9)  # nothing else moves records


def lacking(nodes: list[Node], record: Record) -> int:
    """How many of the k nearest that run do not hold a record."""
    living = [node for node in nodes if node._server is not None]
    near = nearest(living, record.key, K)
    held = [node for node in living if record in node._running.storage.live(record.key)]
    return len(set(near) - {node.contact for node in held})


def near(nodes: list[Node], record: Record) -> list[Node]:
    """Those nodes that should hold a record, nearest first."""
    by_contact = {node.contact: node for node in nodes}
    return [by_contact[contact] for contact in nearest(nodes, record.key, K)]


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_the_copy_of_a_dead_holder_is_made_anew_within_minutes(loss: float) -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        records = [signed(world, nodes[n], f"place {n}", b"%d" % n, 9e4) for n in range(24)]
        for number, record in enumerate(records):
            await nodes[number].put(record)
        for _ in range(3):
            victim = near([n for n in nodes if n._server is not None], records[0])[2]
            await victim.stop()
            await asyncio.sleep(200)
            # Two lost answers make a node take the ninth for the eighth, until it republishes.
            assert sum(lacking(nodes, record) for record in records) <= (3 if loss else 0)

    play(story, 24, settings=SELDOM, link=Link(loss=loss))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_newcomer_that_was_left_to_a_dead_node_gets_its_records_when_that_is_noticed(
    seed: int,
) -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        newcomer = world.node(RULES, SELDOM)
        # To the key that is its own id nobody will be nearer: who holds the record now must not
        # wait for the newcomer to see to it.
        key, until = newcomer.identity.node_id, int(world.clock()) + 90_000
        record = sign_record(nodes[0].identity, NOTE, key, b"", until, b"body")
        await nodes[0].put(record)
        await asyncio.sleep(120)  # nobody is new any more
        await near(nodes, record)[0].stop()
        async with newcomer:
            await newcomer.join([n.contact for n in nodes if n._server is not None][:3])
            await asyncio.sleep(200)
            assert lacking([*nodes, newcomer], record) == 0

    play(story, 24, seed=seed, settings=SELDOM)


def test_neighbours_that_stay_are_asked_ever_more_seldom() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        await nodes[0].put(signed(world, nodes[0], "place", b"body", 9e4))
        sent = []
        for _ in range(3):
            before = world.net.sent
            await asyncio.sleep(4 * 3600)
            sent.append(world.net.sent - before)
        assert sent[0] > 2 * sent[1] > 0
        # Eight holders, seven neighbours, one round an hour, and who was heard from is not asked.
        assert sent[2] <= 4 * 8 * 7 * 2

    play(story, 8, settings=NodeSettings(upkeep=1e9))


def test_who_holds_nothing_asks_nobody() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        await asyncio.sleep(10)
        before = world.net.sent
        await asyncio.sleep(86400)
        assert world.net.sent == before

    play(story, 20, settings=SELDOM)
