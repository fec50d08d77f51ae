"""What a node in memory does not use costs it nothing, and is there when it is used."""

from pockethive.dht.blobs import BlobStore
from pockethive.dht.cells import CellStore
from pockethive.dht.node import Node
from pockethive.dht.simulation import World
from pockethive.dht.store import RecordStore
from pockethive.dht.testing import RULES, key, play, signed


def opened(store: RecordStore | CellStore | BlobStore) -> bool:
    return "_db" in vars(store)


def stores(node: Node) -> tuple[RecordStore, CellStore, BlobStore]:
    witness = node._witness
    assert witness is not None
    return node._protocol.storage, witness._cells, node.blobs


def test_a_simulated_node_makes_a_database_with_its_first_record_ask_or_blob() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        one, two = nodes
        assert await two.get(key("nothing")) == ()
        await one.find(two.identity.public, careful=True)
        await one._running.upkeep.tidy()
        assert not any(opened(store) for node in nodes for store in stores(node))
        record = signed(world, one, "place", b"body")
        assert await one.put(record) == 2
        assert await two.get(record.key) == (record,)
        assert await one.decide(two.contact, b"n" * 20 + b"1") == b"1"
        name = two.blobs.put(b"blob")
        assert two.blobs.get(name) == b"blob"
        assert [opened(store) for store in stores(one)] == [True, False, False]
        assert [opened(store) for store in stores(two)] == [True, True, True]

    play(story, 2)


def test_a_witness_in_memory_remembers_since_it_was_made_not_since_its_first_ask() -> None:
    now = 1000.0
    cells = CellStore(clock=lambda: now)
    now = 2000.0
    assert cells.compare_and_set(b"cell", None, b"promise")
    assert (cells.born, cells.count, cells.get(b"cell")) == (1000.0, 1, b"promise")
    cells.close()


def test_an_empty_store_answers_every_question_and_is_closed_in_order() -> None:
    store = RecordStore(RULES)
    assert store.live(key("a")) == ()
    assert store.live_bytes(key("a")) == []
    assert store.older_than(0, 9) == []
    assert store.keys_between(bytes(20), b"\xff" * 20) == []
    assert store.sweep() == 0
    assert store.get(key("a")) is None
    assert list(store) == []
    store.touch_named(key("a"), [bytes(16)])
    assert not opened(store)
    store.close()
