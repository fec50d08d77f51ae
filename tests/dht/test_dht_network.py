"""Many nodes on the virtual network: the very Node class under loss, death and partitions."""

import asyncio
from dataclasses import replace
from statistics import median

import pytest

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht.blobs import EVERYONE, NOBODY, Audience
from pockethive.dht.contact import Contact
from pockethive.dht.node import Node
from pockethive.dht.record import sign_record
from pockethive.dht.rules import NOTE
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import PORT, Link, World
from pockethive.dht.testing import RULES, key, nearest, play, signed, somebody


async def put_and_get(world: World, nodes: list[Node]) -> None:
    for number in range(12):
        writer, reader = nodes[number], nodes[-1 - number]
        record = signed(world, writer, f"place {number}", b"body %d" % number)
        assert await writer.put(record) >= 8
        assert await reader.get(record.key) == (record,)


def test_thirty_nodes_keep_and_find_records_while_one_datagram_in_twenty_is_lost() -> None:
    play(put_and_get, 30, link=Link(loss=0.05))


def test_one_seed_gives_one_trace() -> None:
    traces = [play(put_and_get, 12, seed, Link(loss=0.05)) for seed in (7, 7, 8)]
    assert traces[0] == traces[1] != traces[2]


def test_a_lookup_ends_with_exactly_the_k_nearest() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        for number in range(30):
            asker, target = nodes[number], key(f"target {number}")
            found = await asker._running.locate(target)
            awaited = [n for n in nodes if n is not asker and n.contact not in found.late]
            assert list(found.contacts) == nearest(awaited, target, 8)
            assert found.complete
            assert len(found.late) <= 1

    play(story, 40)


def test_a_third_of_the_nodes_dead_costs_little_time() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        for node in nodes[20:]:
            await node.stop()
        seconds = []
        for number in range(15):
            begun = world.clock()
            record = signed(world, nodes[number], f"place {number}", b"body")
            await nodes[number].put(record)
            seconds.append(world.clock() - begun)
            assert await nodes[-11 - number].get(record.key) == (record,)
        assert median(seconds) < 1.5
        assert max(seconds) < 6

    play(story, 30)


def test_a_stale_holder_that_comes_back_reverts_nothing() -> None:
    quick = NodeSettings(upkeep=30, republish=60)

    async def story(world: World, nodes: list[Node]) -> None:
        writer, stale = nodes[0], nodes[5]
        old = signed(world, writer, "place", b"old", life=2000)
        await writer.put(old)
        world.net.cut = lambda a, b: stale.contact.address in (a, b)
        new = signed(world, writer, "place", b"new", life=3000)
        await writer.put(new)
        assert [r.body for r in await stale.get(old.key)] == [b"old"]
        world.net.cut = None
        await asyncio.sleep(600)  # several rounds of republishing by everybody
        for node in nodes:
            assert (await node.get(old.key))[0] == new
        assert stale._running.storage.live(old.key)[0] == new

    play(story, 12, settings=quick)


def test_an_expired_record_is_gone_everywhere_whatever_is_republished() -> None:
    quick = NodeSettings(upkeep=30, republish=60)

    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[0], "place", b"mayfly", life=300)
        await nodes[0].put(record)
        await asyncio.sleep(290)
        assert await nodes[9].get(record.key) == (record,)
        await asyncio.sleep(60)
        for node in nodes:
            assert await node.get(record.key) == ()
            assert node._running.storage.count == 0

    play(story, 10, settings=quick)


def test_records_outlive_the_nodes_that_held_them() -> None:
    quick = NodeSettings(upkeep=30, republish=60)

    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[0], "place", b"heirloom", life=5000)
        await nodes[0].put(record)
        for node in nodes[:10]:
            await node.stop()
            await asyncio.sleep(200)
        assert await nodes[-1].get(record.key) == (record,)

    play(story, 20, settings=quick)


def test_one_node_alone_stores_finds_and_witnesses() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        (node,) = nodes
        assert await node.join([]) == await node.join([node.contact]) == 0
        record = signed(world, node, "place", b"mine")
        assert await node.put(record) == 1
        assert await node.get(record.key) == (record,)
        assert await node.get(key("elsewhere")) == ()
        node.serve("echo", lambda peer, body: body + peer)
        public = node.identity.public
        assert await node.request(public, "echo", b"hi") == b"hi" + public
        assert await node.decide(node.contact, b"n" * 20 + b"first") == b"first"
        assert await node.decide(public, b"n" * 20 + b"second") == b"first"
        assert await node.find(somebody("nobody").public) is None
        with pytest.raises(NetworkError, match="no node knows"):
            await node.request(somebody("nobody").public, "echo", b"")

    play(story, 1)


def test_many_records_under_one_key_are_all_collected() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        expires = int(world.clock()) + 600
        holders = {contact.public for contact in nearest(nodes[1:], key("busy"), 8)}
        reader = next(node for node in nodes[1:] if node.identity.public not in holders)
        records = [
            sign_record(node.identity, NOTE, key("busy"), b"%d" % slot, expires, bytes(900))
            for node in nodes[:12]
            for slot in range(4)
        ]
        await asyncio.gather(*(nodes[0].put(record) for record in records))
        assert reader._running.storage.count == 0
        begun = world.clock()
        found = await reader.get(key("busy"))
        assert sorted(r.digest for r in found) == sorted(r.digest for r in records)
        assert world.clock() - begun < 5

    play(story, 20, link=Link(loss=0.02))


def test_a_request_runs_once_however_often_it_is_sent() -> None:
    runs: list[bytes] = []

    async def story(world: World, nodes: list[Node]) -> None:
        asker, answerer = nodes

        async def handle(peer: bytes, body: bytes) -> bytes:
            assert peer == asker.identity.public
            runs.append(body)
            await asyncio.sleep(0.5)
            return body

        answerer.serve("work", handle)
        world.net.link = Link(loss=0.3)
        for number in range(20):
            body = b"%d" % number
            assert await asker.request(answerer.contact, "work", body, timeout=60) == body

    play(story, 2)
    assert runs == [b"%d" % number for number in range(20)]


def test_eight_kilobytes_travel_each_way_under_loss() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        asker, answerer = nodes
        answerer.serve("double", lambda peer, body: body[::-1])
        body = bytes(range(256)) * 32
        world.net.link = Link(loss=0.05)
        for _ in range(5):
            answer = await asker.request(answerer.contact, "double", body, timeout=30)
            assert answer == body[::-1]
        assert world.net.biggest <= 1232
        with pytest.raises(ProtocolError, match="8193 bytes"):
            await asker.request(answerer.contact, "double", body + b"x")

    play(story, 2)


def test_a_device_that_moved_is_found_at_its_new_address() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        old = nodes[3]
        await old.stop()
        settings = replace(old.settings, listen=("10.9.9.9", PORT))
        moved = Node(settings, old.identity, RULES)
        async with moved:
            await moved.join([nodes[0].contact])
            moved.serve("where", lambda peer, body: b"here")
            await asyncio.sleep(1)
            for node in nodes[:3]:
                assert await node.request(moved.identity.public, "where", b"") == b"here"
                assert moved.contact in node.contacts()
                assert all(c.address != ("10.0.0.4", PORT) for c in node.contacts())

    play(story, 6)


def test_silent_contacts_and_contacts_of_another_key_are_reported() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        node, other = nodes
        gone = Contact(somebody("gone").public, "10.7.7.7", PORT)
        liar = Contact(somebody("liar").public, *other.contact.address)
        for contact in (gone, liar):
            begun = world.clock()
            with pytest.raises(NetworkError, match="no answer"):
                await node.request(contact, "ping", b"", timeout=2.0)
            assert 1.99 < world.clock() - begun < 2.1
        with pytest.raises(NetworkError, match="no known node answered"):
            await node.join([gone, liar])

    play(story, 2)


def test_the_dead_among_the_contacts_hold_up_nobody_who_is_answered() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        dead = [Contact(somebody(f"dead {n}").public, "10.9.9.9", 1 + n) for n in range(8)]
        nowhere = Contact(somebody("nowhere").public, "nowhere.invalid", 4400)
        newcomer = world.node(RULES)
        async with newcomer:
            begun = world.loop.time()
            assert await newcomer.greet([nowhere, *dead, nodes[0].contact, nodes[1].contact]) == 2
            assert world.loop.time() - begun < 0.5
            begun = world.loop.time()
            assert await newcomer.join([*dead, nodes[0].contact]) == 1
            assert world.loop.time() - begun < 1.5
            with pytest.raises(NetworkError, match="no known node answered"):
                await newcomer.greet([nowhere, *dead])
            with pytest.raises(NetworkError, match=r"nowhere\.invalid: cannot find the host"):
                await newcomer.greet([nowhere])

    play(story, 5, link=Link(latency=0.02, jitter=0.01))


def test_a_node_cut_off_hears_an_error_and_recovers() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        one, two = nodes
        two.serve("echo", lambda peer, body: body)
        world.net.cut = lambda a, b: True
        with pytest.raises(NetworkError):
            await one.request(two.contact, "echo", b"x")
        world.net.cut = None
        assert await one.request(two.contact, "echo", b"x") == b"x"

    play(story, 2)


def test_blobs_travel_in_memory_with_the_same_permissions() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        maker, friend, other = nodes
        secret = maker.blobs.put(b"secret", Audience(devices=frozenset([friend.identity.public])))
        public = maker.blobs.put(b"public", EVERYONE)
        own = maker.blobs.put(b"own", NOBODY)
        assert await friend.fetch_from([maker.contact], secret) == b"secret"
        assert await other.fetch_from([friend.contact, maker.contact], public) == b"public"
        for reader, name in ((other, secret), (friend, own)):
            with pytest.raises(NetworkError, match="does not give the blob"):
                await reader.fetch_from([maker.contact], name)

    play(story, 3)


def test_a_read_that_the_end_of_its_node_overtakes_says_so() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[0], "place", b"here")
        await nodes[0].put(record)
        for number, node in enumerate(nodes[1:], 1):
            reading = asyncio.ensure_future(node.get(record.key))
            await asyncio.sleep(number / 20)
            await node.stop()
            try:
                assert await reading == (record,)
            except NetworkError as error:
                assert "was stopped" in error.what  # noqa: PT017 - both ends are right

    play(story, 20)
