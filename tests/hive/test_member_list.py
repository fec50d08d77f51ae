"""The member list: any order of records gives one list, and only the founder can change it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import encode
from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError
from pockethive.dht.charter import Charter
from pockethive.dht.member_list import (
    KIND,
    LIFE,
    MAX_MEMBERS,
    PAGE,
    Listed,
    MemberList,
    changed,
    check_name,
    check_record,
    newest,
    sign_list,
    slot,
)
from pockethive.dht.membership import Membership
from pockethive.dht.record import MAX_BODY, MAX_RECORD, Record, sign_record
from pockethive.dht.testing import NOW, somebody
from pockethive.hive_store import HiveStore
from tests.hive.people import CHARTER, FOUNDER, STRANGER, history, listed, records_of

NAMES = [f"device {number}" for number in range(20)]
LISTS = history(NAMES[:3], NAMES[:12], NAMES[:11], NAMES[2:20], NAMES[2:4])
RECORDS = records_of(LISTS)


@given(st.permutations(RECORDS))
def test_the_newest_list_is_read_whatever_the_order_of_its_records(order: list[Record]) -> None:
    assert newest(CHARTER, order) == LISTS[-1]


@given(st.lists(st.sampled_from(RECORDS), unique=True))
def test_of_any_records_the_newest_complete_version_wins(some: list[Record]) -> None:
    found = newest(CHARTER, some)
    bodies = {record.body for record in some}
    whole = [one for one in LISTS if set(one.bodies) <= bodies]
    assert found == max(whole, key=lambda one: one.version, default=None)


@given(st.permutations(LISTS))
def test_a_membership_and_a_home_never_go_back(order: list[MemberList]) -> None:
    membership, store, highest = Membership(CHARTER), HiveStore(None), 0
    store.belong(CHARTER)
    for offered in order:
        newer = offered.version > highest
        highest = max(highest, offered.version)
        assert membership.take(offered) is newer
        assert (store.keep(records_of([offered])) is not None) is newer
        assert (membership.version, store.rank[0]) == (highest, highest)
    assert store.newest() == LISTS[-1]
    store.close()


def test_a_rollback_is_refused_after_a_restart_too(tmp_path: Path) -> None:
    store = HiveStore(tmp_path / "hive.sqlite")
    store.belong(CHARTER)
    assert store.keep(records_of(LISTS[3:4])) == LISTS[3]
    store.close()
    again = HiveStore(tmp_path / "hive.sqlite")
    assert again.keep(records_of(LISTS[:3])) is None
    assert again.newest() == LISTS[3]
    again.close()


def test_a_list_by_another_key_is_nothing() -> None:
    forged = history(NAMES[:1], NAMES[:2], NAMES[:3], NAMES[:4], NAMES[:5], NAMES[:9])
    assert forged[-1].version > LISTS[-1].version
    assert newest(CHARTER, [*records_of(forged, STRANGER), *RECORDS]) == LISTS[-1]
    for record in records_of(forged, STRANGER):
        with pytest.raises(BadSignature):
            check_record(CHARTER, record)


def test_a_head_that_was_changed_after_it_was_signed_is_passed_over() -> None:
    real, fake = records_of(LISTS[-1:])[0], records_of(history(*[NAMES[:2]] * 9)[-1:])
    head = type(real)(
        real.kind, real.key, real.author, real.slot, real.expires, fake[0].body, real.signature
    )
    assert newest(CHARTER, [head, *fake[1:], *RECORDS]) == LISTS[-1]


def test_two_lists_of_one_version_end_the_same_everywhere() -> None:
    one, other = history(NAMES[:2])[0], history(NAMES[:3])[0]
    forward = newest(CHARTER, records_of([one, other]))
    assert forward == newest(CHARTER, records_of([other, one]))
    assert forward == max(one, other, key=lambda each: each.rank)


def test_a_device_without_its_owners_certificate_cannot_be_listed() -> None:
    good = listed(somebody("a"))
    with pytest.raises(BadSignature, match="did not certify"):
        Listed(
            owner=good.owner,
            owner_name="anna",
            device=somebody("b").public,
            device_name="b",
            certificate=good.certificate,
            since=1,
            sealed=good.sealed,
        )


def test_the_largest_page_fits_into_a_record() -> None:
    wide = "\N{ROLLING ON THE FLOOR LAUGHING}" * 12 + '"' * 16
    assert check_name(wide) == wide
    members = [listed(somebody(f"wide {number}"), owner=wide, name=wide) for number in range(PAGE)]
    full = changed(None, 1, members)
    assert max(map(len, full.bodies)) <= MAX_BODY
    for record in sign_list(FOUNDER, CHARTER, full, int(NOW) + LIFE):
        assert len(record.encode()) <= MAX_RECORD


def test_a_full_list_fits_and_one_more_does_not() -> None:
    members = [listed(somebody(f"many {number}")) for number in range(MAX_MEMBERS + 1)]
    full = changed(None, 1, members[:-1])
    assert len(full.bodies[0]) <= MAX_BODY
    assert newest(CHARTER, records_of([full])) == full
    with pytest.raises(BadEncoding, match="at most 512"):
        changed(full, 1, members)


@pytest.mark.parametrize("name", ["", " a", "a\n", "\x1b[31m", "n" * 33, "\N{OX}" * 17, 7])
def test_names_that_a_terminal_would_obey_are_refused(name: object) -> None:
    with pytest.raises(BadEncoding):
        check_name(name)


@given(st.binary(max_size=300), st.sampled_from([slot(0), slot(1), slot(64), b"x"]))
def test_noise_signed_by_the_founder_is_refused_in_words(body: bytes, place: bytes) -> None:
    record = sign_record(FOUNDER, KIND, CHARTER.list_key, place, int(NOW), body)
    with pytest.raises(ProtocolError):
        check_record(CHARTER, record)
    assert newest(CHARTER, [record]) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from("abv"), inner),
    max_leaves=12,
)


@given(JSON, JSON, JSON)
def test_odd_values_in_the_right_fields_are_refused_in_words(
    a: object, b: object, c: object
) -> None:
    head = encode({"v": 1, "version": a, "generation": b, "pages": c})
    page = encode({"v": a, "members": [b, c]})
    for place, body in ((slot(0), head), (slot(1), page)):
        record = sign_record(FOUNDER, KIND, CHARTER.list_key, place, int(NOW), body)
        found = newest(CHARTER, [record])
        assert found is None or (found.version, found.members) == (a, ())


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a" * 64, "two words"])
def test_a_hive_has_a_name_that_fits_everywhere(name: str) -> None:
    with pytest.raises(BadEncoding, match="no name of a hive"):
        Charter(FOUNDER.public, name)


def test_a_hive_is_its_key_and_its_name() -> None:
    assert Charter.decode(CHARTER.encode()) == CHARTER
    ids = {CHARTER.id, Charter(FOUNDER.public, "other").id, Charter(STRANGER.public, "village").id}
    assert len(ids) == 3
    assert "village" not in CHARTER.network


@given(st.binary(max_size=300))
def test_noise_is_no_charter(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Charter.decode(data)
