"""Records above one datagram: they are named by digest and fetched, whatever their sizes."""

import contextlib
from collections import Counter
from contextlib import closing
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.core.errors import ProtocolError
from pockethive.dht import wire
from pockethive.dht.collect import Collector
from pockethive.dht.contact import Contact
from pockethive.dht.methods import DIGEST_SIZE, MAX_DIGESTS, Methods, split_digests
from pockethive.dht.node import Node
from pockethive.dht.reasons import Counts
from pockethive.dht.record import MAX_BODY, MAX_RECORD, MAX_SLOT, Record, sign_record
from pockethive.dht.routing import Peer, XorRoutingTable
from pockethive.dht.rules import KindLimit, OpenRules
from pockethive.dht.simulation import World
from pockethive.dht.store import RecordStore
from pockethive.dht.testing import NOW, key, play, signed, somebody

LONGEST_KIND = "k" * 32
ASKER = Contact(somebody("asker").public, "192.0.2.9", 9)
WHERE = key("large")


class Large(OpenRules):
    """Everything may be as large as the format allows."""

    def limit(self, kind: str) -> KindLimit:
        return KindLimit(max_body=MAX_BODY, max_ttl=2**39, max_slots=2000, max_own=2000)


def record(size: int, number: int, expires: int = int(NOW) + 600) -> Record:
    author = somebody(f"author {number % 4}")
    slot = b"%d" % number + bytes(MAX_SLOT)
    body = bytes((number % 255 + 1,)) * size
    return sign_record(author, LONGEST_KIND, WHERE, slot[:MAX_SLOT], expires, body)


def methods(kept: RecordStore, neighbours: int = 0) -> Methods:
    router = XorRoutingTable(None, 8, Peer(Contact(somebody("own").public, "::1", 1)), lambda: 0.0)
    for number in range(neighbours):
        router.add_contact(Peer(Contact(somebody(f"peer {number}").public, "2001:db8::1", 1)))
    return Methods(router, kept, Counts())


def travelled(value: object) -> object:
    """An answer as it arrives: it must fit into one message."""
    payload = wire.pack_reply(value)
    assert len(payload) <= wire.MAX_PAYLOAD
    return wire.unpack_reply(payload)


def read_all(holder: Methods) -> set[bytes]:
    """What a reader gets from one holder, by the documented exchange."""
    answer = travelled(holder.answer(ASKER, "find_value", [WHERE]))
    assert isinstance(answer, list)
    contacts, digests, found = answer
    assert len(wire.unpack_contacts(contacts, 8)) <= 8
    names = [digests[i : i + DIGEST_SIZE] for i in range(0, len(digests), DIGEST_SIZE)]
    read = {Record.decode(data).digest[:DIGEST_SIZE]: data for data in found}
    while missing := [name for name in names if name not in read]:
        more = travelled(holder.answer(ASKER, "fetch", [WHERE, b"".join(missing[:8])]))
        assert isinstance(more, list)
        assert more, "a digest that was named is never given"
        read |= {Record.decode(data).digest[:DIGEST_SIZE]: data for data in more}
    return set(read.values())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, MAX_BODY), max_size=24), st.integers(0, 8))
def test_records_of_any_sizes_are_read_whole_from_one_holder(
    sizes: list[int], neighbours: int
) -> None:
    records = [record(size, number) for number, size in enumerate(sizes)]
    with closing(RecordStore(Large(), clock=lambda: NOW)) as kept:
        kept.join(records)
        assert read_all(methods(kept, neighbours)) == {one.encode() for one in records}


def test_the_largest_record_of_all_travels_in_a_store_and_in_a_fetch() -> None:
    largest = record(MAX_BODY, 1, 2**40 - 1)
    data = largest.encode()
    assert MAX_RECORD - 400 < len(data) <= MAX_RECORD
    assert len(wire.pack_request("store", [data])) <= wire.MAX_PAYLOAD
    with closing(RecordStore(Large(), clock=lambda: float(2**39 + 2**38))) as kept:
        holder = methods(kept, 8)
        method, arguments = wire.unpack_request(wire.pack_request("store", [data]))
        assert holder.answer(ASKER, method, arguments) == 1
        assert read_all(holder) == {data}


def test_a_key_with_more_records_than_an_answer_names_gives_its_best_and_then_the_rest() -> None:
    records = [record(10, n, int(NOW) + 100 + n) for n in range(2 * MAX_DIGESTS + 20)]
    with closing(RecordStore(Large(), clock=lambda: NOW)) as kept:
        kept.join(records)
        holder = methods(kept, 8)
        assert read_all(holder) == {one.encode() for one in records[MAX_DIGESTS + 20 :]}
        pages: list[list[bytes]] = []
        after = b""
        while not pages or len(pages[-1]) == MAX_DIGESTS:
            page = split_digests(travelled(holder.answer(ASKER, "names", [WHERE, after])))
            pages, after = [*pages, page], page[-1]
        named = [name for page in pages for name in page]
        assert named == sorted({one.digest[:DIGEST_SIZE] for one in records})
        assert [len(page) for page in pages] == [MAX_DIGESTS, MAX_DIGESTS, 20]
        assert holder.answer(ASKER, "names", [WHERE, named[-1]]) == b""


def test_large_records_reach_every_reader_of_a_network() -> None:
    world = World(3)

    async def story() -> None:
        async with contextlib.AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(world.node(Large(), None)) for _ in range(5)]
            for node in nodes[1:]:
                await node.join([nodes[0].contact])
            now = int(world.clock())
            records = [record(MAX_BODY, n, now + 600 + n) for n in range(12)]
            for number, one in enumerate(records):
                assert await nodes[number % 5].put(one) == 5
            assert set(await nodes[2].get(WHERE)) == set(records)

    try:
        world.run(story())
    finally:
        world.close()


class Boaster(Methods):
    """Names more records than there can be, whenever it is asked, and gives none of them."""

    def __init__(self, node: Node) -> None:
        protocol = node._protocol
        super().__init__(protocol.router, protocol.storage, protocol.counters)
        protocol._methods = self
        self.asked: Counter[str] = Counter()

    def answer(self, asker: Contact, method: str, arguments: list[Any]) -> object:
        self.asked[method] += 1
        numbers = range(self.asked.total() * MAX_DIGESTS, (self.asked.total() + 1) * MAX_DIGESTS)
        boast = b"".join(number.to_bytes(DIGEST_SIZE, "big") for number in numbers)
        if method == "names":
            return boast
        return (
            [b"", boast, []] if method == "find_value" else super().answer(asker, method, arguments)
        )


def test_who_names_records_without_end_is_not_listened_to_for_long() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        record = signed(world, nodes[1], "place", b"true")
        assert await nodes[1].put(record) == 5
        liars = [Boaster(node) for node in nodes[3:]]
        begun = world.clock()
        assert await nodes[2].get(record.key) == (record,)
        assert world.clock() - begun < 3
        for liar in liars:
            assert liar.asked == {"find_value": 1, "names": 4, "fetch": 6}

    play(story, 5)


class Shy(Methods):
    """Names as many records as fit into one answer, and no others."""

    def __init__(self, node: Node) -> None:
        protocol = node._protocol
        super().__init__(protocol.router, protocol.storage, protocol.counters)
        protocol._methods = self

    def answer(self, asker: Contact, method: str, arguments: list[Any]) -> object:
        if method == "names":
            raise ProtocolError("no such method here", where="method")
        return super().answer(asker, method, arguments)


def test_who_did_not_name_all_that_it_holds_is_not_given_the_rest_again() -> None:
    world = World(4)

    async def story() -> None:
        async with contextlib.AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(world.node(Large(), None)) for _ in range(4)]
            for node in nodes[1:]:
                await node.join([nodes[0].contact])
            reader, empty, whole, shy = nodes
            now = int(world.clock())
            records = [record(10, n, now + 600 + n) for n in range(MAX_DIGESTS + 20)]
            for holder in (whole, shy):
                assert holder._running.storage.join(records) == len(records)
            Shy(shy)
            collector = Collector(reader._protocol, WHERE)
            found = await reader._running.gather(collector)
            assert set(collector.merged) == set(records)
            lacking = collector.lacking(found.contacts)
            assert {contact: len(short) for contact, short in lacking.items()} == {
                empty.contact: len(records)
            }

    try:
        world.run(story())
    finally:
        world.close()
