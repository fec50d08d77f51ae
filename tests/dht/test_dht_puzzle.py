"""Work on node ids: made, checked, asked for by an open hive."""

import random
from pathlib import Path

import pytest

from pockethive.core.errors import NetworkError
from pockethive.dht import puzzle
from pockethive.dht.identity import Identity
from pockethive.dht.node import Node
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import World
from pockethive.dht.testing import RULES, play, signed

BITS = 5


def worker(seed: int, bits: int = BITS) -> Identity:
    return Identity.from_seed(puzzle.work(bits, random.Random(seed).randbytes))


def lazy(seed: int) -> Identity:
    """A key without the work."""
    rng = random.Random(seed)
    while True:
        identity = Identity.from_seed(rng.randbytes(32))
        if not puzzle.solved(identity.public, BITS):
            return identity


def test_a_key_with_the_work_has_it_for_fewer_bits_too_and_one_in_two_to_the_bits_has_it() -> None:
    made = worker(1)
    assert all(puzzle.solved(made.public, bits) for bits in range(BITS + 1))
    rng = random.Random(2)
    share = sum(puzzle.solved(rng.randbytes(32), BITS) for _ in range(6400))
    assert 140 < share < 270  # 200 expected, 14 the standard deviation


def test_nobody_is_asked_for_work_that_takes_days() -> None:
    with pytest.raises(ValueError, match="0 to 32"):
        puzzle.work(33)


def test_a_home_keeps_the_key_that_was_worked_for(tmp_path: Path) -> None:
    first = Identity.load_or_create(tmp_path, lambda: puzzle.work(BITS))
    assert puzzle.solved(first.public, BITS)
    assert Identity.load_or_create(tmp_path, lambda: puzzle.work(BITS)).public == first.public


async def test_a_node_without_the_work_does_not_start_in_a_hive_that_asks_for_it() -> None:
    node = Node(NodeSettings(puzzle_bits=BITS), lazy(1), RULES)
    with pytest.raises(NetworkError, match="lacks the 5 bits"):
        await node.start()


def test_contacts_without_the_work_are_neither_heard_nor_entered_nor_asked() -> None:
    async def story(world: World, _: list[Node]) -> None:
        strict = NodeSettings(puzzle_bits=BITS)
        honest = [Node(world.newcomer(strict)[0], worker(n), RULES) for n in range(6)]
        cheap = Node(world.newcomer()[0], lazy(3), RULES)
        for node in honest:
            await node.start()
            await node.join([honest[0].contact] if node is not honest[0] else [])
        await cheap.start()
        with pytest.raises(NetworkError, match="no known node answered"):
            await cheap.join([honest[0].contact])
        assert honest[0].counters["puzzle"] >= 1
        assert all(cheap.contact not in node.contacts() for node in honest)
        record = signed(world, honest[1], "place", b"worth it")
        assert await honest[1].put(record) == 6
        for node in (*honest, cheap):
            await node.stop()

    play(story, 1)
