"""Records and the store that joins them: round trips, properties, expiry, quota."""

import random
import sqlite3
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.core.canonical import digest, encode, to_text
from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError, StorageError
from pockethive.dht.merge import merge
from pockethive.dht.record import MAX_BODY, MAX_RECORD, Record, sign_record
from pockethive.dht.rules import NOTE, KindLimit, OpenRules
from pockethive.dht.store import RecordStore, unpack
from pockethive.dht.testing import NOW, RULES, key, note, somebody

AUTHORS = [somebody(name) for name in ("anna", "bert", "carl")]


class Now:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class FewPlaces(OpenRules):
    def limit(self, kind: str) -> KindLimit:
        return replace(super().limit(kind), max_slots=3)


def store(clock: Now | None = None, *, max_records: int = 1000) -> RecordStore:
    rules = FewPlaces() if max_records == 1000 else RULES
    return RecordStore(rules, clock=clock or Now(), max_records=max_records)


# a small universe, so that histories meet in the same places
UNIVERSE = [
    note(author, body, slot=slot, expires=NOW + life)
    for author in AUTHORS
    for body in (b"one", b"two", b"three")
    for slot in (b"", b"other")
    for life in (100, 200)
]
HISTORIES = st.lists(st.sampled_from(UNIVERSE), max_size=12)


def test_a_record_reads_what_it_writes() -> None:
    record = note(AUTHORS[0], bytes(range(256)), slot=b"\0slot")
    again = Record.decode(record.encode())
    assert again == record
    assert again.digest == record.digest
    again.verify()


@given(
    body=st.binary(max_size=99),
    slot=st.binary(max_size=64),
    expires=st.integers(0, 2**40 - 1),
    kind=st.text("ab-9", min_size=1, max_size=9).filter(lambda text: text.strip("-")),
)
def test_a_record_is_spelled_as_every_canonical_form_is(
    body: bytes, slot: bytes, expires: int, kind: str
) -> None:
    record = sign_record(AUTHORS[0], kind, key("k"), slot, expires, body)
    texts = {"key": key("k"), "author": record.author, "slot": slot, "body": body}
    fields = {name: to_text(value) for name, value in texts.items()}
    unsigned = {**fields, "v": 1, "kind": kind, "expires": expires}
    assert record.digest == digest("record", encode(unsigned))
    assert record.encode() == encode({**unsigned, "signature": to_text(record.signature)})
    assert Record.decode(record.encode()) == record


@pytest.mark.parametrize(
    "swap",
    [
        (b'":', b'": '),
        (b"_", b"/"),
        (b'"v":1', b'"v":1.0'),
        (b'"v":1', b'"v":true'),
        (b'"v":1', b'"v":1,"v":1'),
    ],
)
def test_no_other_spelling_of_a_record_is_read(swap: tuple[bytes, bytes]) -> None:
    data = note(AUTHORS[0], b"\xff\xff\xff").encode()
    assert swap[0] in data
    with pytest.raises(BadEncoding):
        Record.decode(data.replace(*swap))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"key": key("elsewhere")},
        {"author": AUTHORS[1].public},
        {"slot": b"moved"},
        {"expires": int(NOW) + 601},
        {"body": b"HELLO"},
        {"signature": bytes(64)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_no_field_of_a_record_can_be_changed(change: dict[str, object]) -> None:
    signed = note(AUTHORS[0])
    given = {part.name: getattr(signed, part.name) for part in fields(Record) if part.init}
    with pytest.raises(BadSignature):
        Record(**{**given, **change}).verify()


def test_what_was_verified_once_is_believed_and_a_changed_copy_is_not() -> None:
    signed = note(AUTHORS[0])
    signed.verify()
    with pytest.raises(BadSignature):
        replace(signed, body=b"HELLO").verify()
    assert replace(signed, body=b"HELLO").encode() != signed.encode()


def test_the_largest_record_fits_and_larger_ones_are_refused() -> None:
    author = AUTHORS[0]
    record = sign_record(author, "k" * 32, key("x"), bytes(64), 2**40 - 1, bytes(MAX_BODY))
    assert len(record.encode()) <= MAX_RECORD
    with pytest.raises(BadEncoding):
        sign_record(author, NOTE, key("x"), b"", 1, bytes(MAX_BODY + 1))
    with pytest.raises(BadEncoding):
        sign_record(author, NOTE, key("x"), bytes(65), 1, b"")


def test_a_usual_record_stays_under_two_kilobytes_on_the_wire() -> None:
    limit = KindLimit()
    record = note(AUTHORS[0], bytes(limit.max_body), slot=bytes(64))
    assert len(record.encode()) <= 2000


@pytest.mark.parametrize(
    ("before", "after"),
    [(b'"v":1', b'"v":2'), (b'"v":1', b'"v":1,"w":1'), (b'{"', b'{ "'), (b"note", b"no e")],
)
def test_another_spelling_of_a_record_is_refused(before: bytes, after: bytes) -> None:
    data = note(AUTHORS[0]).encode()
    assert before in data
    with pytest.raises(BadEncoding):
        Record.decode(data.replace(before, after, 1))


@given(st.binary(max_size=300))
def test_decoding_noise_raises_nothing_but_protocol_errors(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Record.decode(data)


_VALID = note(AUTHORS[0]).encode()


@given(st.integers(0, len(_VALID) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_decoding_damaged_records_raises_nothing_but_protocol_errors(
    place: int, insert: bytes, cut: int
) -> None:
    data = _VALID[:place] + insert + _VALID[place + cut :]
    if data == _VALID:
        return
    with pytest.raises(ProtocolError):
        Record.decode(data).verify()


@settings(max_examples=60, deadline=None)
@given(HISTORIES, st.randoms())
def test_the_order_and_number_of_arrivals_do_not_matter(
    history: list[Record],
    shuffler: random.Random,
) -> None:
    shuffled = [*history, *history]
    shuffler.shuffle(shuffled)
    with closing(store()) as straight, closing(store()) as mixed:
        straight.join(history)
        for record in shuffled:
            mixed.join([record])
        assert straight.live(key("place")) == mixed.live(key("place"))


@settings(max_examples=40, deadline=None)
@given(HISTORIES, HISTORIES)
def test_replicas_that_exchange_what_they_kept_agree_with_one_that_saw_everything(
    mine: list[Record], yours: list[Record]
) -> None:
    with closing(store()) as one, closing(store()) as two, closing(store()) as both:
        one.join(mine)
        two.join(yours)
        both.join([*mine, *yours])
        one.join(two.live(key("place")))
        assert one.live(key("place")) == both.live(key("place"))


@settings(max_examples=40, deadline=None)
@given(HISTORIES)
def test_a_store_is_bounded_by_places_and_bodies(history: list[Record]) -> None:
    with closing(store()) as kept:
        kept.join(history)
        live = kept.live(key("place"))
        assert len({record.place for record in live}) <= 3
        assert all(sum(r.place == record.place for r in live) <= 2 for record in live)
        assert kept.count == len(live)
        assert kept.bytes == sum(len(record.encode()) for record in live)


def test_a_second_body_in_one_place_is_kept_as_evidence_and_a_third_is_not() -> None:
    kept = store()
    lies = [note(AUTHORS[0], body) for body in (b"yes", b"no", b"perhaps")]
    kept.join(lies)
    best = sorted(lies, key=lambda record: record.rank, reverse=True)[:2]
    assert list(kept.live(key("place"))) == best
    assert list(merge(lies)) == best
    kept.close()


def test_one_body_signed_twice_stays_one_record_with_the_longer_life() -> None:
    kept = store()
    short, long = note(AUTHORS[0], expires=NOW + 10), note(AUTHORS[0], expires=NOW + 20)
    kept.join([long, short])
    assert kept.live(key("place")) == (long,)
    kept.close()


def test_expiry_is_final_and_a_stale_holder_cannot_prolong_it() -> None:
    clock = Now()
    kept = store(clock)
    record = note(AUTHORS[0], expires=NOW + 100)
    assert kept.add(record)
    clock.now += 100
    assert kept.live(key("place")) == ()
    with pytest.raises(ProtocolError, match="expired"):
        kept.add(note(AUTHORS[1], expires=clock.now))
    assert kept.sweep() == 1
    assert kept.join([record]) == 0
    assert kept.count == kept.bytes == 0
    kept.close()


def test_what_may_not_be_stored_is_refused_with_a_reason() -> None:
    kept = store()
    limit = KindLimit()
    forged = replace_signature(note(AUTHORS[0]))
    stranger = sign_record(AUTHORS[0], "spam", key("place"), b"", int(NOW) + 1, b"")
    for record, complaint in [
        (forged, "does not verify"),
        (stranger, "does not store 'spam'"),
        (note(AUTHORS[0], bytes(limit.max_body + 1)), "bytes at most"),
        (note(AUTHORS[0], expires=NOW + limit.max_ttl + 3600), "lives"),
    ]:
        with pytest.raises(ProtocolError, match=complaint):
            kept.add(record)
    assert kept.count == 0
    kept.close()


def replace_signature(record: Record) -> Record:
    return Record(
        record.kind, record.key, record.author, record.slot, record.expires, record.body, bytes(64)
    )


def test_the_quota_holds_and_what_expires_soonest_goes_first() -> None:
    kept = store(max_records=5)
    records = [
        sign_record(somebody(f"author {n}"), NOTE, key("here"), b"", int(NOW) + 100 + n, b"x")
        for n in range(20)
    ]
    for record in reversed(records):
        kept.join([record])
    assert list(kept.live(key("here"))) == records[:-6:-1]
    small = RecordStore(RULES, clock=Now(), max_bytes=2000)
    small.join(records)
    assert 0 < small.bytes <= 2000
    kept.close()
    small.close()


def test_a_store_is_kademlias_storage_too() -> None:
    kept = store()
    record = note(AUTHORS[0])
    kept[record.key] = kept_bytes = packed(record)
    assert kept.get(record.key) == kept[record.key] == kept_bytes
    assert list(kept) == [(record.key, kept_bytes)] == kept.iter_older_than(0)
    assert kept.iter_older_than(10) == []
    assert kept.get(key("elsewhere")) is None
    with pytest.raises(KeyError):
        kept[key("elsewhere")]
    assert bool(kept)  # kademlia replaces storages that are falsy
    kept.close()


def packed(record: Record) -> bytes:
    source = store()
    source.join([record])
    value = source[record.key]
    assert unpack(value) == [record]
    source.close()
    return bytes(value)


def test_records_survive_reopening(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    first = RecordStore(RULES, path=path, clock=Now())
    record = note(AUTHORS[0])
    first.join([record])
    first.close()
    again = RecordStore(RULES, path=path, clock=Now())
    assert again.live(record.key) == (record,)
    assert again.count == 1
    again.close()


def test_a_disk_that_refuses_is_reported_and_nothing_is_half_stored(tmp_path: Path) -> None:
    kept = RecordStore(RULES, path=tmp_path / "records.sqlite", clock=Now())
    kept._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageError, match=r"the disk refuses: .*free some space"):
        kept.add(note(AUTHORS[0]))
    assert kept.count == kept.bytes == 0
    kept._db.execute("PRAGMA query_only = OFF")
    assert kept.add(note(AUTHORS[0]))
    kept.close()


def test_a_newer_database_is_reported_and_kept(tmp_path: Path) -> None:
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StorageError, match="version 99"):
        RecordStore(RULES, path=newer)
    with closing(sqlite3.connect(newer)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)
