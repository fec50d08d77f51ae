"""Records go where they belong with few questions: who was just heard or found is asked first."""

import asyncio
import contextlib
from collections import Counter

import pytest

from pockethive.core.errors import ProtocolError
from pockethive.dht.contact import Contact
from pockethive.dht.identity import node_id
from pockethive.dht.node import Node
from pockethive.dht.recent import FRESH, MOST, Recent
from pockethive.dht.record import Record
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import World, seed_tables
from pockethive.dht.spread import ALONE
from pockethive.dht.testing import RULES, play, signed, somebody
from tests.dht.listening import asked

K = 8
STILL = NodeSettings(upkeep=1e6)


def who(number: int) -> Contact:
    return Contact(somebody(f"peer {number}").public, "10.0.0.1", 1 + number)


def heard(recent: Recent, contact: Contact, now: float) -> None:
    recent.note(contact, int.from_bytes(node_id(contact.public), "big"), now)


def holding(nodes: list[Node], record: Record) -> int:
    return sum(record in node._running.storage.live(record.key) for node in nodes)


def test_who_was_heard_a_moment_ago_is_named_nearest_first_until_silent_or_long_unheard() -> None:
    recent, contacts = Recent(), [who(number) for number in range(40)]
    for number, contact in enumerate(contacts):
        heard(recent, contact, float(number))
    heard(recent, contacts[0], 40.0)

    def distance(contact: Contact) -> int:
        return int.from_bytes(node_id(contact.public), "big") ^ 7

    assert recent.nearest(7, 5, 41.0) == sorted(contacts, key=distance)[:5]
    nearest = min(contacts, key=distance)
    recent.forget(nearest.public)
    recent.forget(nearest.public)
    assert nearest not in recent.nearest(7, 40, 41.0)
    left = set(recent.nearest(7, 40, FRESH + 35))
    assert left == {contacts[0], *contacts[35:]} - {nearest}


def test_of_a_crowd_those_heard_last_are_remembered() -> None:
    recent = Recent()
    for number in range(MOST + 10):
        heard(recent, who(number), 1.0)
    known = recent.nearest(0, 2 * MOST, 1.0)
    assert len(known) == MOST
    assert who(9) not in known
    assert who(10) in known


def test_a_node_that_has_just_heard_everybody_finds_the_nearest_without_asking_its_way() -> None:
    steps: dict[bool, int] = {}

    async def story(stack: contextlib.AsyncExitStack) -> None:
        for node in nodes:
            await stack.enter_async_context(node)
        seed_tables(nodes, world.net._random)
        for knows in (False, True):
            if knows:
                for node in nodes[1:]:
                    await nodes[0].request(node.contact, "hello", b"")
            with asked() as methods:
                for number in range(10):
                    asker = nodes[0] if knows else nodes[1 + number]
                    found = await asker._running.locate(bytes([25 * number]) * 20)
                    assert len(found.contacts) == K
            steps[knows] = methods["find_node"]

    async def whole() -> None:
        async with contextlib.AsyncExitStack() as stack:
            await story(stack)

    world = World(3)
    nodes = [world.node(RULES, STILL) for _ in range(150)]
    for node in nodes:
        node.serve("hello", lambda _peer, body: body)
    world.run(whole())
    world.close()
    assert steps[True] < 10 * K * 1.2
    assert steps[True] < 0.7 * steps[False]


def test_what_follows_under_a_key_goes_straight_to_its_holders_with_what_others_signed() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        await asyncio.sleep(5)  # they are introduced to one another
        writer, first = nodes[0], signed(world, nodes[0], "place", b"first")
        assert await writer.put(first) == 1 + K
        last = signed(world, nodes[0], "place", b"last")
        others = [signed(world, one, "place", b"theirs") for one in nodes[1:3]]
        with asked() as methods:
            assert await writer.spreading.spread_beside(last, others) == 1 + K
        assert methods == Counter(hold=K)
        assert all(holding(nodes[1:], record) >= K for record in others)

    play(story, 30, settings=STILL)


def test_where_a_holder_has_died_meanwhile_the_next_nearest_gets_it() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        await asyncio.sleep(5)  # they are introduced to one another
        writer, first = nodes[0], signed(world, nodes[0], "place", b"first")
        await writer.put(first)
        dead = next(node for node in nodes[1:] if holding([node], first))
        await dead.stop()
        last = signed(world, nodes[0], "place", b"last")
        theirs = signed(world, nodes[1], "place", b"theirs")
        with asked() as methods:
            assert await writer.spreading.spread_beside(last, [theirs]) == 1 + K
        assert methods["find_node"] > 0
        assert holding([node for node in nodes[1:] if node is not dead], last) >= K

    play(story, 30, settings=STILL)


def test_holders_found_long_ago_are_searched_for_anew() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        await nodes[0].put(signed(world, nodes[0], "place", b"first"))
        await asyncio.sleep(FRESH + 1)
        last = signed(world, nodes[0], "place", b"last")
        theirs = signed(world, nodes[1], "place", b"theirs")
        with asked() as methods:
            assert await nodes[0].spreading.spread_beside(last, [theirs]) == 1 + K
        assert methods["find_node"] >= K

    play(story, 30, settings=STILL)


def test_in_a_large_hive_what_nobody_waits_for_is_stored_by_itself_unless_it_is_spared() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        kept, spared, left = (
            signed(world, nodes[0], f"place {number}", b"body") for number in range(3)
        )
        for record in (kept, spared, kept):
            assert nodes[0].spreading.soon(record)
        nodes[0].spreading.spare([spared.digest])
        with asked() as methods:
            await asyncio.sleep(ALONE - 1)
        assert not methods["deposit"]
        await asyncio.sleep(3)
        assert holding(nodes[1:], kept) >= K
        assert not holding(nodes, spared)
        assert nodes[0].spreading.soon(left)
        await nodes[0].spreading.settle()
        assert holding(nodes[1:], left) >= K, "what waits is seen to before a node leaves"

    play(story, 30, settings=STILL)


def test_a_look_at_three_holders_asks_fewer_and_finds_what_they_have() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        await asyncio.sleep(5)
        record = signed(world, nodes[0], "place", b"body")
        await nodes[0].put(record)
        reader = next(node for node in nodes[1:] if not holding([node], record))
        asked_for: dict[int | None, int] = {}
        for nearest in (3, None):
            with asked() as methods:
                assert await reader.get(record.key, nearest=nearest) == (record,)
                await asyncio.sleep(1)
            asked_for[nearest] = methods["find_value"]
        assert asked_for[3] <= 5
        assert (asked_for[None] or 0) >= K

    play(story, 30, settings=STILL)


def test_a_device_of_whom_the_table_has_no_room_is_searched_for_once_in_a_while() -> None:
    async def story(nodes: list[Node]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for node in nodes:
                await stack.enter_async_context(node)
            seed_tables(nodes, world.net._random)
            known = nodes[0]._running.known
            far = next(node for node in nodes[1:] if known(node.identity.public) is None)
            await nodes[0].request(far.identity.public, "hello", b"")
            with asked() as methods:
                for _ in range(3):
                    await nodes[0].request(far.identity.public, "hello", b"")
            assert not methods["find_node"]
            await asyncio.sleep(FRESH + 1)
            assert known(far.identity.public) is None
            await nodes[0].request(far.identity.public, "hello", b"")

    world = World(4)
    nodes = [world.node(RULES, STILL) for _ in range(120)]
    for node in nodes:
        node.serve("hello", lambda _peer, body: body)
    world.run(story(nodes))
    world.close()


def test_what_the_rules_refuse_is_stored_nowhere_and_said_to_whoever_waits() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        late = signed(world, nodes[0], "place", b"body", life=-5)
        good = signed(world, nodes[1], "place", b"theirs")
        with pytest.raises(ProtocolError):
            await nodes[0].spreading.spread_beside(late, [good])
        assert nodes[0].spreading.soon(late)
        await asyncio.sleep(ALONE + 3)
        assert not holding(nodes, late)

    play(story, 12, settings=STILL)
