"""Encrypted bodies: they fit where plain ones did, and open only where they belong."""

from dataclasses import replace

import pytest

from pockethive.actors.entries import Entries
from pockethive.actors.witnessing import HiveRules
from pockethive.core.entry import Claim, Invite, Kind
from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError
from pockethive.core.lease import AskCommit, AskLease
from pockethive.core.lease_codec import MAX_MESSAGE, encode_request
from pockethive.core.message import VerifyOffer
from pockethive.core.message_codec import encode_message
from pockethive.dht.hive_key import BODY_OVERHEAD, HiveKeys
from pockethive.dht.membership import Membership
from pockethive.dht.record import sign_record
from pockethive.dht.testing import NOW, somebody
from tests.core.test_core_codecs import biggest
from tests.hive.people import CHARTER, STRANGER, generation_key, history, records_of

KEYS = HiveKeys({1: generation_key(1)})
LIFE = int(NOW) + 60


def entries(name: str, keys: HiveKeys | None = KEYS) -> Entries:
    return Entries(somebody(name), CHARTER.network, keys)


def test_the_largest_encrypted_entries_still_fit_into_one_message() -> None:
    task, made, said = biggest()
    anna = entries("anna")
    signed = anna.sign(Kind.TASK, task, LIFE)[1]
    output = anna.sign(Kind.OUTPUT, made, LIFE)[1]
    verdicts = tuple(
        entries(name).sign(Kind.VERDICT, replace(said, reason="r" * 200), LIFE)[1]
        for name in ("bert", "cora", "dora")
    )
    inputs = tuple((name, task.id) for name, _ in made.inputs)
    invite = Invite(task=task.id, epoch=9, output=made.output, verifier=output.author)
    asked = anna.sign(Kind.INVITE, invite, LIFE)[1]
    offer = VerifyOffer(task=task.id, entry=signed, output=output, invite=asked, inputs=inputs)
    commit = AskCommit(task=task.id, epoch=9, output=made.output, evidence=(output, *verdicts))
    lease = AskLease(task=task.id, epoch=9, seconds=60, entry=signed)
    assert len(encode_message(offer)) <= MAX_MESSAGE
    assert len(encode_request(commit)) <= MAX_MESSAGE
    assert len(encode_request(lease)) <= MAX_MESSAGE


def test_an_entry_opens_for_members_and_for_nobody_else() -> None:
    claim = Claim(task=biggest()[0].id, epoch=1, until=LIFE)
    record, entry = entries("anna").sign(Kind.CLAIM, claim, LIFE)
    assert entries("bert").open(record.encode()) == entry
    assert b"epoch" not in record.body
    with pytest.raises(ProtocolError):
        entries("bert", None).open(record.encode())
    with pytest.raises(BadEncoding, match="no key of"):
        entries("bert", HiveKeys({2: generation_key(2)})).open(record.encode())
    again, _ = entries("anna").sign(Kind.CLAIM, claim, LIFE + 1)
    assert again.body == record.body  # not two bodies in one place, which would prove cheating


def test_a_body_shown_by_another_author_or_in_clear_is_refused() -> None:
    claim = Claim(task=biggest()[0].id, epoch=1, until=LIFE)
    record, _ = entries("anna").sign(Kind.CLAIM, claim, LIFE)
    copied = sign_record(somebody("bert"), record.kind, record.key, record.slot, LIFE, record.body)
    with pytest.raises(BadSignature, match="does not open"):
        entries("cora").open(copied.encode())
    plain, _ = entries("anna", None).sign(Kind.CLAIM, claim, LIFE)
    with pytest.raises(BadEncoding, match="not an encrypted body"):
        entries("cora").open(plain.encode())


def test_a_node_of_a_private_hive_stores_the_list_and_room_for_ciphertext() -> None:
    known = history(["anna", "bert"])
    private = HiveRules(somebody("anna"), entries("anna"), NOW, Membership(CHARTER, known[0]))
    opened = HiveRules(somebody("anna"), entries("anna", None), NOW)
    assert private.limit("claim").max_body == opened.limit("claim").max_body + BODY_OVERHEAD
    for record in records_of(known):
        assert len(record.body) <= private.limit(record.kind).max_body
        private.check(record, NOW)
    for record in records_of(known, STRANGER):
        with pytest.raises(BadSignature):
            private.check(record, NOW)
    with pytest.raises(BadEncoding, match="no such kind"):
        opened.limit("hive-list")
