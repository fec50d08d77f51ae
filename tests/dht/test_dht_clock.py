"""Clocks that disagree: both ends learn why they do not hear each other, and nobody gains by it."""

import asyncio
from dataclasses import replace

import pytest

from pockethive.core.errors import NetworkError, WrongClock
from pockethive.dht import wire
from pockethive.dht.contact import Contact
from pockethive.dht.node import Node
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import World
from pockethive.dht.testing import RULES, Receiver, play, somebody


def newcomer(world: World, ahead: float, settings: NodeSettings | None = None) -> Node:
    own, identity = world.newcomer(settings)
    return Node(replace(own, clock=lambda: world.clock() + ahead), identity, RULES)


@pytest.mark.parametrize(("ahead", "where"), [(-3600.0, "behind"), (86400.0, "ahead of")])
def test_a_device_whose_clock_is_wrong_is_told_so_when_it_joins(ahead: float, where: str) -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        node = newcomer(world, ahead)
        async with node:
            begun = world.clock()
            with pytest.raises(WrongClock) as caught:
                await node.join([nodes[0].contact, nodes[1].contact])
            assert f"clock is {abs(ahead):.0f} s {where} the other's" in str(caught.value)
            assert "10.0.0.1:4400" in str(caught.value)
            assert "beyond 120 s" in str(caught.value)
            assert world.clock() - begun < 3
            assert node.counters["clock"]
            assert nodes[0].counters["clock"]
            assert not node.counters["timeout"]
            assert node.contact not in nodes[0].contacts()

    play(story, 3)


def test_who_asks_a_device_whose_clock_is_wrong_learns_it_too() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        async with newcomer(world, -300.0) as node:
            with pytest.raises(WrongClock, match="300 s ahead of"):
                await nodes[0].request(node.contact, "echo", b"")

    play(story, 1)


def test_a_member_that_answers_outweighs_one_whose_clock_is_wrong() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        async with newcomer(world, -300.0) as wrong, newcomer(world, 0.0) as right:
            assert await right.join([wrong.contact, nodes[0].contact]) == 1

    play(story, 2)


async def test_a_datagram_of_another_time_gets_no_more_bytes_than_it_had_and_no_work() -> None:
    ear = Receiver()
    ear.protocol.handlers["echo"] = lambda _, body: body
    old = [
        ear.ask("ping"),
        ear.ask("ask", "echo", bytes(900)),
        ear.say(wire.REQUEST, b""),  # too short for a refusal
        ear.say(wire.REPLY, bytes(40)),
        ear.say(wire.CHALLENGE, bytes(8)),
        ear.say(wire.PROOF, bytes(8)),
        ear.say(wire.REQUEST, bytes(400), (1, 2)),
        ear.sealer.seal(ear.public, b"\x04\x00"),
        ear.sealer.seal(ear.public, b"short"),
    ]
    ear.now += 3600
    answers = []
    for datagram in old:
        ear.line.sent.clear()
        ear.hear(datagram)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        answers.append([len(each) for each in ear.line.sent])
        assert sum(answers[-1]) <= len(datagram)
    assert [bool(each) for each in answers] == [True, True, *[False] * 7]
    assert ear.protocol.counters == {"clock": len(old)}
    for task in ear.protocol.stop():
        await asyncio.wait([task])


@pytest.mark.parametrize("guess", ["number", "key"])
async def test_only_the_one_who_was_asked_can_say_that_a_clock_is_wrong(guess: str) -> None:
    """Not an answer to another request, replayed, and not another key that read the number."""
    ear = Receiver()
    public = ear.sender.public if guess == "number" else somebody("asked").public
    asked = Contact(public, "127.0.0.1", 9)
    call = asyncio.create_task(ear.protocol.call(asked, "ping", timeout=0.2, tries=1))
    await asyncio.sleep(0)
    (ident,) = ear.protocol._calls._waiting
    ident ^= guess == "number"
    head = wire.HEAD.pack(wire.REPLY, ident, 0, 1)
    forged = ear.sealer.seal(ear.public, head + wire.pack_refusal("clock"))
    ear.now += 3600
    ear.hear(forged)
    with pytest.raises(NetworkError, match="no answer"):
        await call
    assert ear.protocol.counters["clock"] == 1
    for task in ear.protocol.stop():
        await asyncio.wait([task])
