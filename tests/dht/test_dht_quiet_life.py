"""Nodes that begin as after a long quiet life, and reading a part of what a key has."""

import asyncio
import random

from pockethive.dht.collect import name
from pockethive.dht.identity import node_id
from pockethive.dht.node import Node
from pockethive.dht.rules import OpenRules
from pockethive.dht.simulation import World, place_records, seed_tables
from pockethive.dht.testing import key, signed

COUNT, RECORDS, MOST = 40, 60, 10


async def begin(world: World) -> list[Node]:
    nodes = [world.node(OpenRules()) for _ in range(COUNT)]
    for node in nodes:
        await node.start()
    seed_tables(nodes, random.Random(world.seed))
    return nodes


def distance(node: Node, target: bytes) -> int:
    return int.from_bytes(node_id(node.contact.public), "big") ^ int.from_bytes(target, "big")


def test_nobody_is_a_newcomer_after_a_long_life_and_each_record_is_where_it_belongs() -> None:
    world, where = World(3), key("old")

    async def story() -> None:
        nodes = await begin(world)
        record = signed(world, nodes[0], "old", b"said long ago")
        place_records(nodes, [record])
        await asyncio.sleep(30.0)
        assert world.net.sent == 0, "they have nothing to say to each other"
        order = sorted(nodes, key=lambda node: distance(node, where))
        held = [bool(node._running.storage.live(where)) for node in order]
        k = nodes[0].settings.k
        assert held == [True] * k + [False] * (COUNT - k)
        assert await order[-1].get(where) == (record,)
        for node in nodes:
            await node.stop()

    try:
        world.run(story())
    finally:
        world.close()


def test_of_a_key_with_many_records_a_reader_takes_a_part_of_its_own_and_the_rest_later() -> None:
    world, where = World(4), key("many")

    async def story() -> None:
        nodes = await begin(world)
        records = [
            signed(world, nodes[n % COUNT], "many", b"%d" % n + bytes(800)) for n in range(RECORDS)
        ]
        place_records(nodes, records)
        far = sorted(nodes, key=lambda node: distance(node, where))[-2:]
        parts = []
        for reader in far:
            found, more = await reader.get_some(where, MOST)
            assert more
            assert MOST <= len(found) <= MOST + 8, "what came along with the answers is no waste"
            parts.append({name(record) for record in found})
        assert parts[0] != parts[1], "each reader learns others"
        rest, more = await far[0].get_some(where, RECORDS, parts[0])
        assert not more
        assert {name(record) for record in rest} | parts[0] == {name(r) for r in records}
        for node in nodes:
            await node.stop()

    try:
        world.run(story())
    finally:
        world.close()
