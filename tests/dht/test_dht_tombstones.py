"""Taking records back: tombstones join like records, bury whatever comes, and stay buried."""

import random
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.core.errors import ProtocolError
from pockethive.dht.merge import merge
from pockethive.dht.node import Node
from pockethive.dht.record import Record, sign_tombstone
from pockethive.dht.rules import KindLimit, OpenRules
from pockethive.dht.simulation import World
from pockethive.dht.store import RecordStore
from pockethive.dht.testing import NOW, RULES, key, note, play, signed, somebody

ANNA, BERT = somebody("anna"), somebody("bert")
LONGEST = KindLimit().max_ttl
HERE = key("place")


class Now:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class ShortLives(OpenRules):
    """Records live 300 s at most, so that a short story sees everything expire."""

    def limit(self, kind: str) -> KindLimit:
        super().limit(kind)
        return KindLimit(max_ttl=300, max_slots=3, max_own=2)


class Immutable(OpenRules):
    def limit(self, kind: str) -> KindLimit:
        return KindLimit(removable=False)


# bodies and tombstones of any length, among them tombstones that die before what they bury
UNIVERSE = [
    note(author, body, slot=slot, expires=NOW + life)
    for author in (ANNA, BERT)
    for slot in (b"", b"other")
    for body in (b"", b"one", b"two", b"three")
    for life in (100, 200, 300, 400, 600, 700)
]
LETTERS = st.lists(st.sampled_from(UNIVERSE), max_size=10)
PAUSES = st.lists(st.integers(0, 150), min_size=1, max_size=3)


def arrive(kept: RecordStore, letters: list[Record]) -> None:
    for letter in letters:
        kept.join([letter])


def test_a_tombstone_outranks_every_body_of_its_place_whatever_the_expiry() -> None:
    body, longer = note(ANNA, b"said"), note(ANNA, b"said again", expires=NOW + LONGEST)
    grave = sign_tombstone(ANNA, body)
    assert grave.place == body.place
    assert (grave.expires, grave.body) == (body.expires, b"")
    for order in ([body, longer, grave], [grave, longer, body]):
        with closing(RecordStore(RULES, clock=Now())) as kept:
            arrive(kept, order)
            assert kept.live(HERE) == (grave,) == merge(order)
            with pytest.raises(ProtocolError, match="only its author"):
                sign_tombstone(BERT, body)


def test_a_replay_never_brings_back_what_was_buried_not_even_after_the_tombstone_expired() -> None:
    clock = Now()
    short, long = note(ANNA, b"a", expires=NOW + 50), note(ANNA, b"b", expires=NOW + LONGEST)
    with closing(RecordStore(RULES, clock=clock)) as kept:
        arrive(kept, [long, sign_tombstone(ANNA, short)])
        for moment in (0, 49, 50, 51, LONGEST - 1, LONGEST):
            clock.now = NOW + moment
            kept.sweep()
            assert kept.join([long]) == 0
            assert all(record.tombstone for record in kept.live(HERE))
        clock.now = NOW + 50 + LONGEST + 60
        assert kept.sweep() == 1
        assert kept.count == kept.bytes == 0
        arrive(kept, [again := note(ANNA, b"new", expires=clock.now + 100)])
        assert kept.live(HERE) == (again,)


def test_a_place_may_be_written_anew_by_what_no_tombstone_could_have_met() -> None:
    clock = Now()
    with closing(RecordStore(ShortLives(), clock=clock)) as kept:
        arrive(kept, [note(ANNA, b"", expires=NOW + 100)])
        clock.now = NOW + 170
        arrive(kept, [buried := note(ANNA, b"late", expires=NOW + 460)])
        assert kept.live(HERE) == ()
        arrive(kept, [new := note(ANNA, b"later", expires=NOW + 461)])
        assert kept.live(HERE) == (new,)
        arrive(kept, [buried, note(ANNA, b"", expires=NOW + 300)])
        assert [record.body for record in kept.live(HERE)] == [b""]


def test_the_longest_tombstone_of_a_place_stays_and_is_one_record() -> None:
    with closing(RecordStore(RULES, clock=Now())) as kept:
        graves = [note(ANNA, b"", expires=NOW + life) for life in (10, 30, 20)]
        arrive(kept, graves)
        assert kept.live(HERE) == (graves[1],)
        assert kept.count == 1


def test_what_agents_said_cannot_be_taken_back() -> None:
    with closing(RecordStore(Immutable(), clock=Now())) as kept:
        said = note(ANNA, b"a verdict")
        kept.add(said)
        with pytest.raises(ProtocolError, match="for good"):
            kept.add(sign_tombstone(ANNA, said))
        assert kept.live(HERE) == (said,)


@settings(max_examples=150, deadline=None)
@given(LETTERS, st.randoms())
def test_tombstones_and_bodies_join_in_any_order_any_number_of_times(
    letters: list[Record], shuffler: random.Random
) -> None:
    letters = [letter for letter in letters if letter.expires <= NOW + 300]
    mixed = [*letters, *letters]
    shuffler.shuffle(mixed)
    half = shuffler.randint(0, len(letters))
    with (
        closing(RecordStore(ShortLives(), clock=Now())) as one,
        closing(RecordStore(ShortLives(), clock=Now())) as two,
        closing(RecordStore(ShortLives(), clock=Now())) as left,
        closing(RecordStore(ShortLives(), clock=Now())) as right,
    ):
        arrive(one, letters)
        arrive(two, mixed)
        assert one.live(HERE) == two.live(HERE)
        arrive(left, letters[:half])
        arrive(right, letters[half:])
        left.join(right.live(HERE))
        right.join(left.live(HERE))
        assert left.live(HERE) == right.live(HERE) == one.live(HERE)


@settings(max_examples=150, deadline=None)
@given(LETTERS, PAUSES, st.randoms())
def test_replicas_that_saw_the_same_letters_agree_whenever_each_saw_them(
    letters: list[Record], pauses: list[int], shuffler: random.Random
) -> None:
    """One may see a body before its tombstone, the other after that tombstone has expired."""
    clock, moments = Now(), [NOW]
    for pause in pauses:
        moments.append(moments[-1] + pause)
    times = {n: [m for m in moments if m < r.expires <= m + 360] for n, r in enumerate(letters)}
    with (
        closing(RecordStore(Roomy(), clock=clock)) as one,
        closing(RecordStore(Roomy(), clock=clock)) as two,
    ):
        for kept in (one, two):
            plan = {
                n: shuffler.sample(open_, shuffler.randint(1, len(open_)))
                for n, open_ in times.items()
                if open_
            }
            for clock.now in moments:
                due = [letters[n] for n, chosen in plan.items() if clock.now in chosen]
                shuffler.shuffle(due)
                arrive(kept, due)
                if shuffler.random() < 0.5:
                    kept.sweep()
        for later in (0, 50, 100, 150):
            clock.now = moments[-1] + later
            assert one.live(HERE) == two.live(HERE)


@settings(max_examples=150, deadline=None)
@given(LETTERS, PAUSES, st.randoms())
def test_replicas_agree_however_arrivals_and_expiries_interleave(
    letters: list[Record], pauses: list[int], shuffler: random.Random
) -> None:
    """Each replica meets every letter that lives in each span at some time of that span."""
    clock = Now()
    rules = Roomy()
    with (
        closing(RecordStore(rules, clock=clock)) as one,
        closing(RecordStore(rules, clock=clock)) as two,
    ):
        buried: set[bytes] = set()
        for pause in (*pauses, 0):
            for kept in (one, two):
                span = [*letters, *letters]
                shuffler.shuffle(span)
                arrive(kept, span)
                if shuffler.random() < 0.5:
                    kept.sweep()
            assert one.live(HERE) == two.live(HERE)
            graves = {r.place for r in one.live(HERE) if r.tombstone}
            shown = {record.digest for record in one.live(HERE)}
            assert not shown & buried, "a buried record rose again"
            buried |= {
                letter.digest
                for letter in letters
                if letter.place in graves
                and not letter.tombstone
                and clock.now < letter.expires <= clock.now + 360
            }
            clock.now += pause


class Roomy(ShortLives):
    """As many places as there are: what a bound let go may come back when others expired."""

    def limit(self, kind: str) -> KindLimit:
        return KindLimit(max_ttl=300)


def test_a_removed_record_is_gone_for_everybody_and_stays_so() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        author, reader, third = nodes[1], nodes[6], nodes[3]
        record = signed(world, author, "wanted", b"soon regretted")
        assert await author.put(record) > 1
        assert await reader.get(record.key) == (record,)
        assert await author.remove(record) > 1
        assert await reader.get(record.key) == ()
        assert await third.put(record) == 0
        assert await reader.get(record.key) == () == await third.get(record.key)
        with pytest.raises(ProtocolError, match="only its author"):
            await reader.remove(record)

    play(story, 8)
