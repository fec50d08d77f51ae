"""What is new gets to all nodes of a small hive: together, once, and only where it is lacking."""

import asyncio
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import ProtocolError
from pockethive.dht.methods import Methods
from pockethive.dht.node import Node
from pockethive.dht.simulation import Link, World
from pockethive.dht.spread import LATER
from pockethive.dht.testing import Receiver, note, play, signed, somebody
from tests.dht.listening import asked


def test_what_is_due_together_goes_in_one_message_to_each_other_node() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        records = [signed(world, nodes[0], f"place {n}", b"body") for n in range(5)]
        with asked() as methods:
            spread = nodes[0].spreading.spread
            assert await asyncio.gather(*map(spread, records)) == [3] * 5
        assert methods == {"hold": 2}
        for node in nodes:
            held = [node.spreading.held(record.key) for record in records]
            assert held == [(record,) for record in records]

    play(story, 3)


def test_what_nobody_waits_for_is_offered_and_given_to_those_alone_that_lack_it() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[0], "place", b"body")
        nodes[1].spreading.keep(record)  # a letter showed it
        with asked() as methods:
            assert nodes[0].spreading.soon(record)
            assert nodes[0].spreading.held(record.key) == (record,), "at once for its own device"
            await asyncio.sleep(LATER + 1)
        assert methods == {"lacks": 2, "hold": 1}
        assert all(node.spreading.held(record.key) == (record,) for node in nodes)

    play(story, 3)


def test_a_copy_counts_where_somebody_answers_and_nobody_waits_for_the_dead_for_long() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        await nodes[2].stop()
        begun = world.clock()
        assert await nodes[0].spreading.spread(signed(world, nodes[0], "place", b"body")) == 2
        assert world.clock() - begun < 5

    play(story, 3)


def test_nodes_that_know_no_such_method_get_the_records_one_by_one() -> None:
    def older(self: Methods, *_: object) -> object:
        raise ProtocolError("no such method, or not with these arguments", where="method")

    async def story(world: World, nodes: list[Node]) -> None:
        records = [signed(world, nodes[0], f"place {n}", b"body") for n in range(3)]
        with patch.object(Methods, "_hold", older), patch.object(Methods, "_lacks", older):
            copies = await asyncio.gather(*map(nodes[0].spreading.spread, records[:2]))
            nodes[0].spreading.soon(records[2])
            await asyncio.sleep(LATER + 1)
        assert copies == [3, 3]
        assert all(nodes[2].spreading.held(record.key) == (record,) for record in records)

    play(story, 3)


def test_in_a_large_hive_each_record_is_searched_a_place_for() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[0], "place", b"body")
        with asked() as methods:
            assert await nodes[0].spreading.spread(record) >= 8
        assert not methods["hold"]

    play(story, 14, link=Link(loss=0.02))


def test_what_waits_is_seen_to_before_a_node_leaves() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[0], "place", b"body")
        nodes[0].spreading.soon(record)
        await nodes[0].hand_over(5)
        await nodes[0].stop()
        assert nodes[1].spreading.held(record.key) == (record,)

    play(story, 2)


def test_what_the_rules_refuse_is_refused_here_first() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        with pytest.raises(ProtocolError, match="expired"):
            await nodes[0].spreading.spread(signed(world, nodes[0], "place", b"body", life=-5))

    play(story, 2)


@given(
    st.lists(st.binary(max_size=80), min_size=1, max_size=9), st.binary(min_size=1, max_size=1_100)
)
def test_whatever_is_sent_to_be_held_or_named_is_an_answer_or_a_refusal(
    records: list[bytes], names: bytes
) -> None:
    async def heard() -> int:
        receiver = Receiver()
        receiver.protocol.proofs.add(receiver.sender.public, ("127.0.0.1", 9))
        good = note(somebody("author")).encode()
        for method, value in (("hold", records), ("hold", [good, *records]), ("lacks", names)):
            receiver.hear(receiver.ask(method, value))
        assert not receiver.protocol.counters["internal"]
        return len(receiver.line.sent)

    assert asyncio.run(heard()) == 3


def test_flags_tell_which_records_are_held() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        good = signed(world, nodes[0], "place", b"body")
        late = signed(world, nodes[0], "other place", b"body", life=-5)
        call = nodes[0]._protocol.call
        there = nodes[1].contact
        assert await call(there, "hold", [good.encode(), late.encode()]) == b"\1\0"
        names = b"".join(one.key + one.digest[:16] for one in (late, good))
        assert await call(there, "lacks", names) == b"\1\0"

    play(story, 2)
