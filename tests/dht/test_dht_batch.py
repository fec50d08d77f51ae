"""Records signed together: each stands by itself, and none stands for another."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError
from pockethive.dht.batch import (
    HASH_SIZE,
    HEAD_SIZE,
    MAX_BATCH,
    MAX_PATH,
    implied_root,
    leaf,
    paths,
)
from pockethive.dht.identity import Identity
from pockethive.dht.record import MAX_BODY, Draft, Record, sign_batch, sign_record
from pockethive.dht.rules import NOTE, OpenRules
from pockethive.dht.store import RecordStore

ANNA, BERT = (Identity.from_seed(bytes([number]) * 32) for number in (1, 2))
NOW = 1_900_000_000


def drafts(count: int) -> list[Draft]:
    return [Draft(NOTE, bytes(20), b"%d" % n, NOW + 60, b"body %d" % n) for n in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 255, MAX_BATCH, MAX_BATCH + 3])
def test_every_record_of_a_batch_is_read_and_verified_by_itself(count: int) -> None:
    records = sign_batch(ANNA, drafts(count))
    assert len({record.signature for record in records}) == -(-count // MAX_BATCH)
    for record in records:
        read = Record.decode(record.encode())
        read.verify()
        assert (read, read.digest) == (record, record.digest)
        assert len(read.path) <= MAX_PATH


@given(count=st.integers(1, 40), data=st.data())
def test_a_path_fits_one_leaf_at_one_place_in_a_tree_of_one_size(
    count: int, data: st.DataObject
) -> None:
    leaves = [leaf(bytes([number]) * 32) for number in range(count)]
    root, found = paths(leaves)
    place = data.draw(st.integers(0, count - 1))
    assert implied_root(leaves[place], found[place]) == root
    other = data.draw(st.integers(0, count - 1).filter(lambda at: at != place or count == 1))
    if count > 1:
        assert implied_root(leaves[other], found[place]) != root
        assert implied_root(leaves[place], found[other]) != root
    for path in (found[place] + bytes(HASH_SIZE), found[place][:-HASH_SIZE]):
        if path != found[place] and len(path) >= HEAD_SIZE:
            assert implied_root(leaves[place], path) != root


@given(st.binary(max_size=MAX_PATH + 40))
def test_any_bytes_are_a_path_or_none_and_never_a_fault(path: bytes) -> None:
    root = implied_root(leaf(bytes(32)), path)
    assert root is None or len(root) == HASH_SIZE


def test_what_is_changed_or_borrowed_does_not_verify() -> None:
    mine, other = sign_batch(ANNA, drafts(5)), sign_batch(BERT, drafts(5))
    lies = [
        replace(mine[0], body=b"another"),
        replace(mine[0], expires=NOW + 61),
        replace(mine[0], path=mine[1].path),
        replace(mine[0], signature=other[0].signature),
        replace(mine[0], author=other[0].author),
        replace(mine[0], path=b""),
        replace(sign_record(ANNA, NOTE, bytes(20), b"0", NOW + 60, b"body 0"), path=mine[0].path),
    ]
    for lie in lies:
        with pytest.raises(BadSignature):
            Record.decode(lie.encode()).verify()


@given(data=st.data())
def test_no_single_damaged_byte_of_a_batched_record_passes(data: st.DataObject) -> None:
    wire = sign_batch(ANNA, drafts(3))[1].encode()
    place = data.draw(st.integers(0, len(wire) - 1))
    damaged = bytearray(wire)
    damaged[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError):
        Record.decode(bytes(damaged)).verify()


def test_a_batched_record_is_bounded() -> None:
    with pytest.raises(BadEncoding, match="with its path"):
        sign_batch(ANNA, [Draft("k" * 32, bytes(20), bytes(64), NOW, bytes(MAX_BODY))] * 256)
    with pytest.raises(BadEncoding, match="path"):
        replace(sign_batch(ANNA, drafts(1))[0], path=bytes(MAX_PATH + HASH_SIZE))
    version_1 = sign_record(ANNA, NOTE, bytes(20), b"0", NOW, b"x").encode()
    with pytest.raises(BadEncoding):
        Record.decode(version_1.replace(b'"v":1}', b'"v":2}'))


def test_a_store_keeps_batched_records_like_others() -> None:
    store = RecordStore(OpenRules(), clock=lambda: float(NOW))
    records = sign_batch(ANNA, drafts(5))
    assert store.join(records) == 5
    assert {record.digest for record in store.live(bytes(20))} == {r.digest for r in records}
    with pytest.raises(BadSignature):
        store.add(Record.decode(replace(records[0], body=b"another").encode()))
    store.close()
