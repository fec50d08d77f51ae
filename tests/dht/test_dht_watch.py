"""Watching a key: news as it comes, under loss and death; bounded at both ends; ends cleanly."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

import pytest

from pockethive.core.errors import ProtocolError
from pockethive.dht.contact import Contact
from pockethive.dht.leases import LONGEST, MAX_PER_KEY, MAX_PER_PEER, MAX_WATCHERS, Watchers
from pockethive.dht.node import Node
from pockethive.dht.record import Record, sign_record
from pockethive.dht.rules import NOTE
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import Link, World
from pockethive.dht.testing import Liar, hive, key, nearest, play, signed, somebody
from pockethive.dht.watch import LEASE, MAX_WATCHES

STILL = NodeSettings(upkeep=1e9)


class Listener:
    """Iterates in the background and notes when it heard what."""

    def __init__(self, world: World, records: AsyncIterator[Record]) -> None:
        self._world, self._records = world, records
        self.heard: list[tuple[bytes, float]] = []
        self._task = asyncio.ensure_future(self._listen())

    @property
    def bodies(self) -> list[bytes]:
        return [body for body, _ in self.heard]

    async def _listen(self) -> None:
        async for record in self._records:
            self.heard.append((record.body, self._world.clock()))

    async def ended(self) -> None:
        await self._task

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


def slot(world: World, node: Node, number: int, where: str = "place") -> Record:
    """A record in a place of its own under `key(where)`."""
    expires = int(world.clock()) + 9000
    body = b"%d" % number
    return sign_record(node.identity, NOTE, key(where), b"s%d" % number, expires, body)


def watchers(nodes: list[Node]) -> int:
    return sum(len(node._protocol.methods.watchers) for node in nodes if node._server)


def test_a_watcher_hears_what_is_there_and_then_what_comes_within_a_second() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        first = slot(world, nodes[1], 0)
        await nodes[1].put(first)
        listener = Listener(world, nodes[0].watch(first.key, 300))
        await asyncio.sleep(5)
        assert listener.bodies == [b"0"]
        for number in range(1, 6):
            begun = world.clock()
            await nodes[number].put(slot(world, nodes[number], number))
            await asyncio.sleep(3)
            body, heard = listener.heard[-1]
            assert body == b"%d" % number
            assert heard - begun < 2.0
        assert len(listener.heard) == 6  # eight holders tell the same; it is told once
        await listener.ended()
        assert world.loop.time() < 400

    play(story, 24, settings=STILL)


def test_a_newer_body_is_news_and_an_older_one_is_not() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        old = signed(world, nodes[1], "place", b"old", life=500)
        new = signed(world, nodes[1], "place", b"new", life=1000)
        newest = signed(world, nodes[1], "place", b"newest", life=2000)
        listener = Listener(world, nodes[0].watch(new.key, 200))
        await asyncio.sleep(5)
        await nodes[1].put(new)
        await asyncio.sleep(5)
        await nodes[2].put(newest)
        await asyncio.sleep(5)
        await nodes[3].put(old)  # two bodies of one place are kept, and this is a third
        await listener.ended()
        assert listener.bodies == [b"new", b"newest"]

    play(story, 20, settings=STILL)


def test_a_body_that_is_taken_back_is_news_at_once_for_watchers_near_and_far() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[1], "place", b"said", life=3000)
        await nodes[1].put(record)
        by_key = {node.identity.public: node for node in nodes}
        near = by_key[nearest(nodes[2:], record.key, 1)[0].public]
        far = by_key[nearest(nodes[2:], record.key, 18)[-1].public]
        assert near._running.storage.live(record.key)
        assert not far._running.storage.live(record.key)
        listeners = [Listener(world, node.watch(record.key, 60)) for node in (near, far)]
        await asyncio.sleep(5)
        begun = world.clock()
        assert await nodes[1].remove(record) >= 8
        await asyncio.sleep(3)
        for listener in listeners:
            assert listener.bodies == [b"said", b""]
            assert listener.heard[1][1] - begun < 2
            await listener.ended()
            assert len(listener.heard) == 2
        late = Listener(world, far.watch(record.key, 10))  # the tombstone alone is there now
        await late.ended()
        assert late.bodies == [b""]

    play(story, 20, settings=STILL)


def test_a_tombstone_whose_news_was_lost_is_told_at_the_next_renewal() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[1], "place", b"said", life=3000)
        await nodes[1].put(record)
        listener = Listener(world, nodes[0].watch(record.key, 300))
        await asyncio.sleep(5)
        address = nodes[0].contact.address
        world.net.cut = lambda source, target: target == address
        await nodes[1].remove(record)
        await asyncio.sleep(1)
        world.net.cut = None
        assert listener.bodies == [b"said"]
        await asyncio.sleep(LEASE / 2)
        assert listener.bodies == [b"said", b""]
        await listener.stop()
        await asyncio.sleep(2)

    play(story, 20, settings=STILL)


def test_nothing_is_missed_while_a_third_of_all_datagrams_is_lost() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        listener = Listener(world, nodes[0].watch(key("place"), 900))
        await asyncio.sleep(20)
        world.net.link = Link(loss=0.33)
        for number in range(12):
            await nodes[1 + number].put(slot(world, nodes[1 + number], number))
            await asyncio.sleep(20)
        await listener.ended()
        assert sorted(listener.bodies) == sorted(b"%d" % number for number in range(12))

    play(story, 24, settings=STILL)


def test_news_that_is_lost_altogether_is_found_at_the_next_renewal() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        watcher = nodes[0]
        listener = Listener(world, watcher.watch(key("place"), 600))
        await asyncio.sleep(5)
        address = watcher.contact.address
        world.net.cut = lambda source, target: target == address
        await nodes[1].put(slot(world, nodes[1], 1))
        await asyncio.sleep(1)
        world.net.cut = None
        assert listener.heard == []
        await asyncio.sleep(LEASE / 2)
        assert listener.bodies == [b"1"]
        await listener.stop()
        await asyncio.sleep(2)
        assert watchers(nodes) == 0

    play(story, 20, settings=STILL)


def test_news_comes_from_others_when_holders_die() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        target = key("place")
        by_key = {node.identity.public: node for node in nodes}
        near = [by_key[contact.public] for contact in nearest(nodes[2:], target, 8)]
        listener = Listener(world, nodes[0].watch(target, 600))
        await asyncio.sleep(5)
        for node in near[:7]:
            await node.stop()
        begun = world.clock()
        await nodes[1].put(slot(world, nodes[1], 1))
        await asyncio.sleep(5)
        assert listener.bodies == [b"1"]  # of the one holder that is left
        assert listener.heard[0][1] - begun < 5
        await near[7].stop()
        await asyncio.sleep(LEASE)  # renewals find the next holders
        begun = world.clock()
        await nodes[1].put(slot(world, nodes[1], 2))
        await asyncio.sleep(5)
        assert listener.bodies == [b"1", b"2"]
        assert listener.heard[1][1] - begun < 5
        await listener.ended()

    play(story, 30, settings=STILL)


def test_the_watcher_may_be_a_holder_itself_and_two_loops_may_watch_one_key() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        target = key("place")
        by_key = {node.identity.public: node for node in nodes}
        holder = by_key[nearest(nodes, target, 1)[0].public]
        writer = next(node for node in nodes if node is not holder)
        listeners = [Listener(world, holder.watch(target, 60)) for _ in range(2)]
        await asyncio.sleep(5)
        await writer.put(slot(world, writer, 1))
        await holder.put(slot(world, holder, 2))
        for listener in listeners:
            await listener.ended()
            assert listener.bodies == [b"1", b"2"]

    play(story, 12, settings=STILL)


def test_a_loop_that_is_left_frees_its_leases_and_a_node_that_stops_ends_its_loops() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        record = slot(world, nodes[1], 1)
        await nodes[1].put(record)
        async for heard in nodes[0].watch(record.key, 1e6):
            assert heard == record
            assert watchers(nodes) == 8
            break
        gc.collect()  # as the interpreter does when the loop's generator goes out of sight
        await asyncio.sleep(3)
        assert watchers(nodes) == 0
        listener = Listener(world, nodes[0].watch(record.key, 1e6))
        await asyncio.sleep(3)
        await nodes[0].stop()
        await listener.ended()
        assert listener.bodies == [b"1"]
        await asyncio.sleep(LONGEST)
        assert all(not n._protocol.methods.watchers.of(record.key, 1e9) for n in nodes[1:])

    play(story, 20, settings=STILL)


def test_a_consumer_that_dawdles_gets_the_newest_of_everything_from_bounded_memory() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        records = nodes[0].watch(key("place"), 5000)
        first = slot(world, nodes[1], 999)
        await nodes[1].put(first)
        assert await anext(records) == first
        (watch,) = nodes[0]._running.watching._open[key("place")]
        for version in range(10):
            for number in range(40):
                expires = int(world.clock()) + 6000 + version
                body = b"%d" % version
                where = b"s%d" % (number % 8)
                author = nodes[1 + number // 8]
                record = sign_record(author.identity, NOTE, key("place"), where, expires, body)
                for node in nodes[2:6]:
                    node._running.storage.add(record)
            await asyncio.sleep(1)
        assert sum(map(len, watch._pending.values())) <= 256
        heard = [await anext(records) for _ in range(40)]
        assert len({(r.author, r.slot) for r in heard if r.body == b"9"}) == 40
        await records.aclose()

    play(story, 10, settings=STILL)


def test_liars_among_the_holders_tell_nothing_that_is_not_signed() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        target = key("place")
        by_key = {node.identity.public: node for node in nodes}
        liars = [by_key[contact.public] for contact in nearest(nodes[2:], target, 3)]
        for node in liars:
            Liar(node, "poison")
        listener = Listener(world, nodes[0].watch(target, 120))
        await asyncio.sleep(5)
        forged = bytes(range(256)) * 2
        for node in liars:
            for _ in range(5):
                await node._protocol.call(nodes[0].contact, "news", target, forged)
        await nodes[1].put(slot(world, nodes[1], 1))
        await listener.ended()
        assert listener.bodies == [b"1"]

    play(story, 20, settings=STILL)


def test_news_for_nobody_or_from_a_stranger_is_answered_and_costs_nothing() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        one, two = nodes[:2]
        assert await one._protocol.call(two.contact, "news", key("x"), bytes(32)) == 0
        with pytest.raises(ProtocolError):
            await one._protocol.call(two.contact, "news", key("x"), bytes(33 * 16 * 16))
        with pytest.raises(ProtocolError):
            await one._protocol.call(two.contact, "watch", key("x"), "long")

    play(story, 3)


def test_one_node_does_not_watch_without_bound() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        (node,) = nodes
        tasks = [Listener(world, node.watch(key(f"{n}"), 30)) for n in range(MAX_WATCHES)]
        await asyncio.sleep(1)
        with pytest.raises(ProtocolError, match=f"{MAX_WATCHES} keys are watched"):
            await anext(node.watch(key("one more"), 30))
        for task in tasks:
            await task.ended()
        assert node._running.watching._open == {}

    play(story, 1)


def contact(name: str) -> Contact:
    return Contact(somebody(name).public, "10.0.0.1", 4400)


def test_leases_are_bounded_for_a_key_for_a_peer_and_in_all() -> None:
    table = Watchers()
    for number in range(MAX_PER_KEY + 10):
        table.renew(key("busy"), contact(f"w{number}"), 60, float(number))
    left = table.of(key("busy"), 70.0)
    assert [c.public for c in left] == [contact(f"w{n}").public for n in range(11, 74)]
    for number in range(MAX_PER_PEER + 10):
        table.renew(key(f"k{number}"), contact("greedy"), 60, 80.0)
    assert [bool(table.of(key(f"k{n}"), 80.0)) for n in range(MAX_PER_PEER + 10)] == (
        [False] * 10 + [True] * MAX_PER_PEER
    )
    for number in range(MAX_WATCHERS + 50):
        table.renew(key(f"m{number}"), contact(f"p{number % 40}"), 60, 90.0)
    assert len(table) == MAX_WATCHERS


def test_renewing_keeps_a_watcher_when_another_has_to_go() -> None:
    table = Watchers()
    for number in range(MAX_PER_KEY):
        table.renew(key("busy"), contact(f"w{number}"), 600, 0.0)
    table.renew(key("busy"), contact("w0"), 600, 1.0)
    table.renew(key("busy"), contact("late"), 600, 2.0)
    watching = {c.public for c in table.of(key("busy"), 3.0)}
    assert contact("w0").public in watching
    assert contact("w1").public not in watching


def test_a_lease_ends_by_time_by_wish_and_by_silence() -> None:
    table, place = Watchers(), key("place")
    table.renew(place, contact("a"), 1e9, 0.0)
    assert table.of(place, LONGEST - 1)
    assert table.of(place, LONGEST) == []
    table.renew(place, contact("a"), 60, 0.0)
    table.renew(place, contact("a"), 0, 0.0)
    assert len(table) == 0
    table.renew(place, contact("a"), 60, 0.0)
    table.silent(place, contact("a").public)  # it never confirmed: perhaps a spoofed address
    assert len(table) == 0
    table.renew(place, contact("a"), 60, 0.0)
    table.confirm(place, contact("a").public)
    table.silent(place, contact("a").public)
    assert len(table) == 1
    table.silent(place, contact("a").public)
    assert len(table) == 0


async def test_real_nodes_on_loopback_tell_each_other_news() -> None:
    async with hive(None, None, None) as (one, two, three):
        records = two.watch(key("place"), 30)
        expires = int(one.settings.clock()) + 600
        made = [
            sign_record(one.identity, NOTE, key("place"), b"%d" % n, expires, b"x")
            for n in range(3)
        ]
        await one.put(made[0])
        assert await anext(records) == made[0]
        for node, record in ((one, made[1]), (three, made[2])):
            await node.put(record)
            assert await asyncio.wait_for(anext(records), 5) == record
        assert dict(two.counters) == {}
        await records.aclose()
