"""The bulletin at a node that stores it: who may post, how much, and who takes it back."""

import pytest

from pockethive.actors.entries import Entries
from pockethive.actors.witnessing import HiveRules
from pockethive.core.canonical import digest
from pockethive.core.entry import Kind, Notice
from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError
from pockethive.core.labels import Label
from pockethive.core.notice import LIFE_SECONDS, MAX_OWN
from pockethive.dht.hive_key import HiveKeys
from pockethive.dht.identity import Identity
from pockethive.dht.record import Record
from pockethive.dht.store import RecordStore
from pockethive.dht.testing import NOW, somebody
from tests.hive.people import generation_key

ANNA = Entries(somebody("anna"), "home")


def notice(entries: Entries, number: int = 0, shard: str = "0") -> Notice:
    key = shard + digest("some task", b"%d" % number).hex()[1:]
    return Notice(key=key, skill="search", size=0, model="", label=Label.HIVE, owner=entries.device)


def posted(entries: Entries, what: Notice, seconds: int = LIFE_SECONDS) -> Record:
    return entries.sign(Kind.NOTICE, what, int(NOW) + seconds)[0]


def store(holder: Identity, keys: HiveKeys | None = None) -> RecordStore:
    rules = HiveRules(holder, Entries(holder, "home", keys), NOW)
    return RecordStore(rules, clock=lambda: NOW)


def test_a_notice_is_stored_until_its_author_takes_it_back() -> None:
    kept, what = store(somebody("holder")), notice(ANNA)
    record = posted(ANNA, what)
    assert kept.add(record)
    kept.add(ANNA.tombstone(Kind.NOTICE, what, record.expires))
    assert [each for each in kept.live(record.key) if not each.tombstone] == []
    kept.close()


def test_an_author_has_so_many_notices_in_a_shard() -> None:
    kept = store(somebody("holder"))
    records = [posted(ANNA, notice(ANNA, number)) for number in range(3 * MAX_OWN)]
    kept.join(records)
    assert len(kept.live(records[0].key)) == MAX_OWN
    kept.close()


def test_a_notice_that_lives_long_or_names_another_device_is_refused() -> None:
    kept = store(somebody("holder"))
    with pytest.raises(ProtocolError):
        kept.add(posted(ANNA, notice(ANNA), 86_400))
    bert = Entries(somebody("bert"), "home")
    with pytest.raises(BadSignature, match="another device"):
        kept.add(posted(bert, notice(ANNA)))
    kept.close()


def test_in_a_private_hive_a_notice_is_not_to_be_read_from_outside() -> None:
    keys = HiveKeys({1: generation_key(1)})
    inside = Entries(somebody("anna"), "home", keys)
    record = posted(inside, notice(inside))
    assert b"search" not in record.body
    assert Entries(somebody("bert"), "home", keys).open(record.encode()).body == notice(inside)
    with pytest.raises((BadEncoding, BadSignature)):
        Entries(somebody("eve"), "home").open(record.encode())
