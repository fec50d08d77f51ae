"""Who can be dialled: behind a NAT, on the open network, and one key at two addresses."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht.contact import Contact
from pockethive.dht.node import Node
from pockethive.dht.reach import _AGAIN, _QUIET, Reach, Reachability
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import PORT, Link, World
from pockethive.dht.testing import RULES, hive, key, play, signed
from pockethive.dht.transport import Address, Message
from pockethive.dht.wire import pack_contacts
from tests.dht.listening import end_of


class Nat:
    """Lets in only what comes from an address and port that its device has sent to.

    `forwarded`: its owner has told it to let in everything.
    """

    def __init__(self, world: World, inside: Address, memory: float = 60.0) -> None:
        self._world, self._inside, self._memory = world, inside, memory
        self._holes: dict[Address, float] = {}
        self.forwarded = False

    def __call__(self, source: Address, target: Address) -> bool:
        now = self._world.clock()
        if source == self._inside:
            self._holes[target] = now
            return False
        if target != self._inside or self.forwarded:
            return False
        return now - self._holes.get(source, 0.0) > self._memory


def newcomer(world: World, **changes: Any) -> Node:
    settings, identity = world.newcomer()
    return Node(replace(settings, **changes), identity, RULES)


def test_a_node_that_everybody_can_dial_is_public_and_learns_its_address() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        states = [node.reachability for node in nodes[3:]]
        assert states == [Reachability("public", node.contact.address) for node in nodes[3:]]

    play(story, 8)


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_a_node_behind_a_nat_becomes_a_client_that_stands_in_no_table(loss: float) -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        node = newcomer(world)
        world.net.cut = Nat(world, node.settings.listen)
        async with node:
            await node.join([nodes[0].contact])
            assert node.reachability.status == "client"
            assert node.reachability.address == node.contact.address
            await asyncio.sleep(5)
            for other in nodes:
                assert node.contact not in other.contacts()
            record = signed(world, node, "place", b"from behind a wall")
            assert await node.put(record) >= 8
            assert await nodes[3].get(record.key) == (record,)
            held = node._running.storage.count
            for number in range(10):
                await nodes[number].put(signed(world, nodes[number], f"n {number}", b"x"))
                found = await nodes[number]._running.locate(node.identity.node_id)
                assert node.contact not in found.contacts
            assert node._running.storage.count == held
            nodes[0].serve("echo", lambda peer, body: body)
            assert await node.request(nodes[0].contact, "echo", b"hi") == b"hi"
            node.serve("echo", lambda peer, body: body)  # the way back stands open for a while
            assert await nodes[0].request(node.identity.public, "echo", b"back") == b"back"

    play(story, 12, seed=3, link=Link(loss=loss))


def test_a_client_by_its_settings_is_asked_for_nothing_that_a_share_of_the_dht_is() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        async with newcomer(world, client=True) as node:
            await node.join([nodes[0].contact])
            await asyncio.sleep(2)
            assert node.reachability == Reachability("client")
            assert all(node.contact not in other.contacts() for other in nodes)
            questions: list[tuple[str, object]] = [
                ("find_node", key("x")),
                ("find_value", key("x")),
                ("store", b""),
                ("deposit", b""),
                ("hold", []),
                ("lacks", b""),
            ]
            for question in questions:
                with pytest.raises(ProtocolError, match="only asks"):
                    await nodes[1]._protocol.call(node.contact, *question)
            assert await nodes[1]._protocol.call(node.contact, "ping") == 0
            assert node.counters["client"] == 6

    play(story, 5)


def test_too_few_peers_leave_it_open_and_the_node_public() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        node = newcomer(world)
        world.net.cut = Nat(world, node.settings.listen)
        async with node:
            await node.join([nodes[0].contact])
            assert node.reachability.status == "unknown"
            assert node.contact in nodes[0].contacts()

    play(story, 1)


def test_a_node_whose_port_mapping_vanishes_becomes_a_client_and_public_once_it_is_back() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        node = newcomer(world)
        router = Nat(world, node.settings.listen)
        router.forwarded = True
        world.net.cut = router
        async with node:
            await node.join([nodes[0].contact])
            assert node.reachability.status == "public"
            assert any(node.contact in other.contacts() for other in nodes)
            await asyncio.sleep(4000)  # a review changes nothing while nothing has changed
            assert node.reachability.status == "public"
            for forwarded, status in ((False, "client"), (True, "public"), (False, "client")):
                router.forwarded = forwarded
                await asyncio.sleep(_AGAIN + 2 * node.settings.upkeep)
                assert node.reachability.status == status
                tables = [other for other in nodes if node.contact in other.contacts()]
                assert bool(tables) == forwarded
                if forwarded:
                    record = signed(world, nodes[2], "place", b"for all")
                    assert await nodes[2].put(record) == len(nodes) + 1
                    assert node._running.storage.live(record.key) == (record,)

    play(story, 7)


def test_a_node_that_peers_see_elsewhere_decides_again_at_the_next_upkeep() -> None:
    """The router gave up its mapping: what the node sends now comes from another port."""

    async def story(world: World, nodes: list[Node]) -> None:
        roamer = nodes[3]
        router = Nat(world, ("10.77.7.7", 5000))
        world.net.cut = router
        assert roamer.reachability.status == "public"
        inner = roamer._protocol.transport.inner
        world.net.unbind(inner)  # type: ignore[arg-type]
        inner.address = ("10.77.7.7", 5000)  # type: ignore[attr-defined]
        world.net.bind(inner)  # type: ignore[arg-type]
        await asyncio.sleep(_QUIET + 2 * roamer.settings.upkeep)
        assert roamer.reachability == Reachability("client", ("10.77.7.7", 5000))

    play(story, 8)


def test_the_first_node_of_a_hive_finds_out_too_although_it_never_joined_anybody() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        first = nodes[0]
        assert first.reachability == Reachability()
        world.net.cut = Nat(world, first.settings.listen)
        await asyncio.sleep(_AGAIN + 2 * first.settings.upkeep)
        assert first.reachability.status == "client"
        assert nodes[1].reachability.status == "public"

    play(story, 6)


def test_too_few_answers_change_nothing_and_one_unlucky_round_neither() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        node = nodes[5]
        assert node.reachability.status == "public"
        router = Nat(world, node.settings.listen)
        world.net.cut = router
        reach = node._running.reach

        async def lucky(first: Collection[Address], count: int = 3) -> Reachability:
            found = await Reach.ask(reach, first, count)
            router.forwarded = True
            return found

        reach.ask = lucky  # type: ignore[method-assign]
        await reach._decide()
        assert node.reachability.status == "public"
        world.net.cut = lambda source, target: node.settings.listen in (source, target)
        await reach._decide()
        assert node.reachability.status == "public"

    play(story, 6)


def test_dials_are_rationed_and_only_for_proved_addresses() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        asker, asked = nodes[0], nodes[1]
        answers = await asyncio.gather(
            *(asker._protocol.call(asked.contact, "dial", 0, timeout=9.0) for _ in range(20)),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if isinstance(answer, ProtocolError)]
        assert 10 <= len(refused) < 20
        assert asked.counters["busy"] == len(refused)
        for odd in ((), (-1,), (70_000,), (True,), ("1",), (1, 2)):
            await asyncio.sleep(10)
            with pytest.raises(ProtocolError):
                await asker._protocol.call(asked.contact, "dial", *odd)

    play(story, 5)


async def test_nodes_on_loopback_dial_each_other_from_fresh_sockets() -> None:
    async with hive(None, None, None, None) as nodes:
        state = await nodes[3]._running.reach.ask([nodes[0].contact.address])
        assert state == Reachability("public", nodes[3].contact.address)
        gone = nodes[2]
        contact = gone.contact
        boot = gone._protocol.boot
        assert await nodes[1]._running.reach._boot_of(contact) == boot
        await gone.stop()
        assert await nodes[1]._running.reach._boot_of(contact) is None


CURE = "delete device.key in the copy"


def test_the_copy_of_a_running_device_refuses_to_join_and_the_device_stays_known() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        first = nodes[4]
        copy = Node(
            replace(first.settings, listen=("10.9.9.9", PORT)),
            first.identity,
            RULES,
        )
        async with copy:
            with pytest.raises(NetworkError, match=CURE) as caught:
                await copy.join([nodes[0].contact])
            assert f"in use at {first.contact.host}:{PORT}" in str(caught.value)
        for node in nodes[:4]:
            assert await node.find(first.identity.public) == first.contact

    play(story, 8)


def test_a_neighbour_that_lies_about_a_copy_keeps_nobody_from_joining() -> None:
    """Not by naming another device, nor an address that leads back to whoever asks."""

    async def story(world: World, nodes: list[Node]) -> None:
        newcomer = world.node(RULES)
        claims = iter([nodes[1].contact.address, newcomer.settings.listen, ("10.55.5.5", PORT)])

        async def lie(message: Message, _: list[Any]) -> object:
            return pack_contacts([Contact(message.public, *next(claims))])

        for node in nodes:
            node._protocol.waiting["twin"] = lie
        async with newcomer:
            assert await newcomer.join([nodes[0].contact]) == 1
        assert list(claims) == []

    play(story, 3)


def test_a_device_that_restarted_elsewhere_is_no_copy_of_itself() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        old = nodes[4]
        await old.stop()
        moved = Node(replace(old.settings, listen=("10.9.9.9", PORT)), old.identity, RULES)
        async with moved:
            assert await moved.join([nodes[0].contact]) == 1

    play(story, 8)


async def test_the_copy_of_a_device_on_loopback_refuses_to_join() -> None:
    async with hive(None, None, None) as nodes:
        copy = Node(NodeSettings(), nodes[2].identity, RULES)
        async with copy:
            with pytest.raises(NetworkError, match=CURE):
                await copy.join([nodes[0].contact])


def test_all_peers_learn_the_new_address_of_a_node_that_moved_or_drop_the_old_one() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        old = nodes[7]
        before = old.contact
        await old.stop()
        moved = Node(replace(old.settings, listen=("10.9.9.9", PORT)), old.identity, RULES)
        async with moved:
            await moved.join([nodes[0].contact])
            others = [node for node in nodes if node is not old]
            for node in others:  # one authenticated exchange with each
                await moved._protocol.call(node.contact, "ping")
            await asyncio.sleep(1)
            kept = [node for node in others if before in node.contacts()]
            learned = [node for node in others if moved.contact in node.contacts()]
            assert kept == []
            assert len(learned) >= 12  # a full bucket keeps older contacts
            for node in others:
                assert await node.find(moved.identity.public) == moved.contact

    play(story, 20)


def test_a_socket_that_moves_under_a_running_node_is_followed_too() -> None:
    """As when a phone changes networks: no restart, no joining, just another source address."""

    async def story(world: World, nodes: list[Node]) -> None:
        roamer = nodes[2]
        before = roamer.contact
        end = end_of(roamer)
        world.net.unbind(end)
        end.address = ("10.77.7.7", 5000)
        world.net.bind(end)
        there = Contact(roamer.identity.public, "10.77.7.7", 5000)
        for node in nodes:
            if node is not roamer:
                await roamer._protocol.call(node.contact, "ping")
                assert await node.find(roamer.identity.public) == there
                assert before not in node.contacts()

    play(story, 6)
