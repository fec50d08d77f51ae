"""What a full store gives up, and whose places stay under a crowded key."""

import random
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.dht.eviction import FARTHEST, Candidate, kept_places, usefulness, victims
from pockethive.dht.identity import Identity, node_id
from pockethive.dht.node import Node
from pockethive.dht.record import Record, sign_record
from pockethive.dht.rules import NOTE, Held, KindLimit, OpenRules
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import World
from pockethive.dht.store import RecordStore
from pockethive.dht.testing import NOW, RULES, key, play, somebody

OWN = somebody("own device")
NEAR = 2**159  # in these tests everything in the node's half of the ring is near


class Trusting(OpenRules):
    """Three places under a key, one for each author; friends go first."""

    def __init__(self, *friends: bytes) -> None:
        self.friends = friends

    def limit(self, kind: str) -> KindLimit:
        return KindLimit(max_slots=3, max_own=2)

    def ranking(self, kind: str, held: Held) -> Callable[[bytes], int]:
        return lambda author: int(author not in self.friends)


def at(distance: int) -> bytes:
    """A key at so many XOR steps from the node's id."""
    return (int.from_bytes(node_id(OWN.public), "big") ^ distance).to_bytes(20, "big")


def post(author: Identity, where: bytes, *, life: float = 600, slot: bytes = b"") -> Record:
    return sign_record(author, NOTE, where, slot, int(NOW + life), b"b" * 50)


def store(*, max_records: int = 100, max_bytes: int = 2**30) -> RecordStore:
    kept = RecordStore(
        RULES, clock=lambda: NOW, max_records=max_records, max_bytes=max_bytes, own=OWN.public
    )
    kept.radius = lambda: NEAR
    return kept


def held(kept: RecordStore, records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record in kept.live(record.key)]


@pytest.mark.parametrize("many", [False, True], ids=["one key", "many keys"])
def test_an_attacker_who_writes_ten_times_the_quota_pushes_out_no_near_record_of_others(
    many: bool,
) -> None:
    rng = random.Random(7)
    with closing(store()) as kept:
        honest = [
            post(somebody(f"honest {n}"), at(rng.randrange(NEAR)), life=60) for n in range(40)
        ]
        mine = [post(OWN, at(NEAR + n), life=30) for n in range(20)]
        kept.join([*honest, *mine])
        for number in range(1000):
            # one key writes wherever it likes; many keys (an open hive) may not come near
            spot = at(NEAR + rng.randrange(NEAR) if many else rng.randrange(2 * NEAR))
            kept.join([post(somebody(f"evil {number}" if many else "evil"), spot, life=9000)])
        assert held(kept, honest) == honest
        assert held(kept, mine) == mine
        assert kept.count <= 100
        if not many:
            assert kept.count == 60 + 25


def test_one_author_fills_no_more_than_his_share_in_bytes_either() -> None:
    with closing(store(max_records=1000, max_bytes=40_000)) as kept:
        for number in range(200):
            kept.join([post(somebody("evil"), key(f"{number}"))])
        assert 9_000 < kept.bytes <= 10_000
        other = post(somebody("honest"), key("there"))
        assert kept.add(other)


def test_what_is_less_useful_than_all_the_rest_is_not_held_and_not_said_to_be() -> None:
    with closing(store(max_records=4)) as kept:
        near = [post(somebody(f"{n}"), at(n)) for n in range(4)]
        assert kept.join(near) == 4
        far = post(somebody("far"), at(NEAR + 1), life=9000)
        assert kept.add(far) is False
        assert kept.join([far]) == 0
        assert held(kept, [far, *near]) == near


def test_a_device_holds_its_own_records_before_those_of_others_and_bounded_too() -> None:
    with closing(store(max_records=10)) as kept:
        mine = [post(OWN, at(NEAR + n), life=600 + n) for n in range(12)]
        kept.join(post(somebody(f"{n}"), at(n)) for n in range(10))
        kept.join(mine)
        assert kept.count == 10
        assert held(kept, mine) == mine[2:]


def test_farther_goes_before_nearer_and_both_go_after_what_expired() -> None:
    now = [NOW]
    kept = RecordStore(RULES, clock=lambda: now[0], max_records=4, own=OWN.public)
    kept.radius = lambda: NEAR
    brief = post(somebody("1"), at(1), life=10)
    near = post(somebody("2"), at(2), life=100)
    far, farther = (post(somebody(f"f{n}"), at(NEAR + n), life=1000) for n in (1, 2))
    kept.join([brief, near, far, farther])
    now[0] += 10
    story = [post(somebody(f"new {n}"), at(3 + n), life=1000) for n in range(4)]
    left = []
    for record in story:
        assert kept.add(record)
        left.append([name for name, r in pairs(brief, near, far, farther) if held(kept, [r])])
    assert left == [["near", "far", "farther"], ["near", "far"], ["near"], []]
    kept.close()


def pairs(brief: Record, near: Record, far: Record, farther: Record) -> list[tuple[str, Record]]:
    return [("brief", brief), ("near", near), ("far", far), ("farther", farther)]


CANDIDATES = st.builds(
    Candidate,
    name=st.binary(min_size=4, max_size=4).map(lambda d: (b"k", "note", b"a", b"", d)),
    expires=st.integers(-50, 50),
    distance=st.integers(0, 20),
    size=st.integers(1, 9),
    mine=st.booleans(),
)


@given(
    st.lists(CANDIDATES, max_size=30, unique_by=lambda one: one.name),
    st.integers(-3, 12),
    st.integers(-9, 60),
)
def test_victims_are_the_least_useful_and_no_more_than_needed(
    candidates: list[Candidate], records: int, size: int
) -> None:
    chosen = victims(candidates, (records, size), radius=10, now=0)
    rest = [one for one in candidates if one not in chosen]
    if chosen and rest:
        worth = {one.name: usefulness(one, 10, 0) for one in candidates}
        assert max(worth[c.name] for c in chosen) < min(worth[r.name] for r in rest)
    enough = len(chosen) >= records and sum(one.size for one in chosen) >= size
    assert enough or not rest
    if chosen:
        fewer = chosen[:-1]
        assert len(fewer) < records or sum(one.size for one in fewer) < size


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 2**160 - 1), st.integers(1, 60)), max_size=40
    )
)
def test_the_store_drops_what_the_pure_decision_over_all_its_records_names(
    letters: list[tuple[int, int, int]],
) -> None:
    """SQLite shows the decision only the heads of its indexes; the outcome is the same."""
    authors = [OWN, *(somebody(f"{n}") for n in range(5))]
    records = {
        r.digest: r
        for number, (a, d, e) in enumerate(letters)
        for r in [post(authors[a], at(d), life=e, slot=b"%d" % number)]
    }
    with closing(store(max_records=1000)) as kept:
        kept.join(records.values())
        everything = [
            Candidate(
                (r.key, *r.place, r.digest),
                r.expires,
                int.from_bytes(r.key, "big") ^ int.from_bytes(node_id(OWN.public), "big"),
                len(r.encode()),
                r.author == OWN.public,
            )
            for r in records.values()
        ]
        excess = len(records) // 2
        gone = {one.name[-1] for one in victims(everything, (excess, 0), NEAR, NOW)}
        kept._quota = type(kept._quota)(records=len(records) - excess, size=2**30)
        with kept._writing():
            assert kept._trim([]) == gone


def test_grinding_slots_or_keys_pushes_out_neither_friends_nor_first_places() -> None:
    friend, honest, evil = somebody("friend"), somebody("honest"), somebody("evil")
    where = key("crowded")
    good = [post(friend, where), post(honest, where)]
    with closing(RecordStore(Trusting(friend.public), clock=lambda: NOW)) as kept:
        kept.join(good)
        for number in range(60):
            kept.join([post(evil, where, slot=b"%d" % number)])
        assert held(kept, good) == good
        assert kept.count == 3
        for number in range(60):
            kept.join([post(somebody(f"sybil {number}"), where)])
        assert held(kept, good[:1]) == good[:1], "who is ranked first stays, whatever is ground"
        assert kept.count == 3


PLACES = st.sets(
    st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.binary(min_size=1, max_size=1)),
    max_size=16,
)


@settings(max_examples=300)
@given(PLACES, PLACES, st.integers(1, 3), st.integers(1, 6))
def test_bounding_places_is_a_join(
    mine: set[tuple[bytes, bytes]], yours: set[tuple[bytes, bytes]], own: int, total: int
) -> None:
    """Bounding early, late or twice ends the same: f(f(A) | B) = f(A | B)."""

    def bound(places: set[tuple[bytes, bytes]]) -> set[tuple[bytes, bytes]]:
        return kept_places(key("k"), places, (own, total), lambda author: int(author > b"b"))

    assert bound(bound(mine) | yours) == bound(mine | yours) == bound(bound(mine) | bound(yours))
    assert len(bound(mine)) <= total


def test_a_lone_node_is_near_to_everything_and_one_of_many_is_not() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        radii = [node._running.storage.radius() for node in nodes]
        assert all(0 < radius < FARTHEST for radius in radii)
        lone = world.node(RULES, None)
        async with lone:
            assert lone._running.storage.radius() == FARTHEST

    play(story, 8, settings=NodeSettings(k=3))
