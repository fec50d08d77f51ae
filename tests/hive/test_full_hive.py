"""A hive with as many members as its rules let stand under one key: everybody reads all of them."""

import asyncio
import contextlib
from collections.abc import Iterator

from pockethive.actors.entries import Entries, hive_key
from pockethive.actors.witnessing import HiveRules
from pockethive.core.canonical import to_text
from pockethive.core.entry import Kind, Member
from pockethive.dht.identity import certify
from pockethive.dht.methods import MAX_DIGESTS
from pockethive.dht.node import Node
from pockethive.dht.record import Record
from pockethive.dht.simulation import EPOCH, Link, World
from pockethive.dht.testing import somebody
from tests.hive.people import owner_of

HIVE = "village"
FULL = 512


def advertisements(number: int, count: int) -> Iterator[Record]:
    """What one device says of itself, later renewed with another body: both live for a while."""
    identity, owner = somebody(f"member {number}"), owner_of(f"owner {number % 9}")
    entries = Entries(identity, HIVE)
    for documents in range(count):
        body = Member(
            device=entries.device,
            owner_key=to_text(owner.public),
            certificate=to_text(certify(owner, identity.public)),
            host="192.0.2.7",
            port=1 + number,
            skills=("extract", "synthesize"),
            checkers=("quotes",),
            model="",
            documents=documents,
            works=True,
        )
        record, _ = entries.sign(Kind.MEMBER, body, int(EPOCH) + 3600 + documents)
        yield record


def test_all_members_of_a_full_hive_are_read_through_the_network_renewed_or_not() -> None:
    records = [one for n in range(FULL) for one in advertisements(n, 1 + n % 2)]
    assert len(records) > MAX_DIGESTS, "more than one answer names"
    world = World(5, Link(loss=0.05))

    async def story() -> None:
        async with contextlib.AsyncExitStack() as stack:
            nodes: list[Node] = []
            for _ in range(4):
                settings, identity = world.newcomer()
                rules = HiveRules(identity, Entries(identity, HIVE), EPOCH)
                node = Node(settings, identity, rules)
                nodes.append(await stack.enter_async_context(node))
                await node.join([nodes[0].contact])
            reader, *holders = nodes
            for turn, holder in enumerate(holders):  # each lacks some that the others hold
                mine = [one for n, one in enumerate(records) if n % 3 != turn]
                assert holder._running.storage.join(mine) == len(mine)
            begun = world.clock()
            found = await reader.get(hive_key(HIVE))
            assert set(found) == set(records)
            assert len({one.author for one in found}) == FULL
            assert world.clock() - begun < reader.settings.budget
            await asyncio.sleep(3600)

    try:
        world.run(story())
    finally:
        world.close()


def test_a_watcher_of_a_full_hive_hears_of_every_member() -> None:
    records = [one for n in range(FULL) for one in advertisements(n, 2)]
    world = World(6)

    async def story() -> None:
        async with contextlib.AsyncExitStack() as stack:
            nodes: list[Node] = []
            for _ in range(2):
                settings, identity = world.newcomer()
                rules = HiveRules(identity, Entries(identity, HIVE), EPOCH)
                nodes.append(await stack.enter_async_context(Node(settings, identity, rules)))
            holder, watcher = nodes
            await watcher.join([holder.contact])
            heard = set[Record]()
            watching = watcher.watch(hive_key(HIVE), 120)

            async def listen() -> None:
                async for record in watching:
                    heard.add(record)

            listening = asyncio.ensure_future(listen())
            await asyncio.sleep(1)
            assert holder._running.storage.join(records) == len(records)
            await listening
            assert heard == set(records)

    try:
        world.run(story())
    finally:
        world.close()
