"""The hive's rules for storing: what a commit must prove, who stays under a crowded key."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256

import pytest

from pockethive.actors.entries import Entries
from pockethive.actors.witnessing import HiveRules
from pockethive.core.canonical import to_text
from pockethive.core.entry import Ballot, Body, Commit, Invite, Kind, Output, Waiver
from pockethive.core.entry_codec import kind_of
from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError
from pockethive.core.lease import ack_bytes
from pockethive.core.task import Committee, DeviceId, Task
from pockethive.dht.identity import Identity
from pockethive.dht.record import Record, sign_tombstone
from pockethive.dht.store import RecordStore
from pockethive.dht.testing import NOW, somebody
from tests.core.core_play import make_task

WITNESSES = [somebody(f"witness {n}") for n in range(4)]
OWNER, WORKER, STRANGER = somebody("owner"), somebody("worker"), somebody("stranger")
VALUE = sha256(b"an output").hexdigest()


def name(identity: Identity) -> DeviceId:
    return DeviceId(to_text(identity.public))


TASK = replace(
    make_task(),
    owner=name(OWNER),
    owner_key=to_text(OWNER.public),
    committee=Committee(witnesses=tuple(map(name, WITNESSES)), quorum=3),
)


def wire(author: Identity, body: Body, life: int = 600) -> Record:
    return Entries(author, "hive").sign(kind_of(body), body, int(NOW) + life)[0]


def commit(*signers: Identity, task: Task = TASK, value: str = VALUE) -> Commit:
    said = ack_bytes(task.id, task.committee.generation, 1, value)
    return Commit(
        task=task.id,
        generation=task.committee.generation,
        epoch=1,
        output=value,
        acks=tuple((name(signer), to_text(signer.sign(said))) for signer in signers),
    )


def made(epoch: int, text: str = "an output") -> Output:
    return Output(
        task=TASK.id,
        epoch=epoch,
        output=sha256(text.encode()).hexdigest(),
        size=5,
        model="",
        inputs=(),
    )


@pytest.fixture
def store() -> Iterator[RecordStore]:
    own = somebody("holder")
    with closing(RecordStore(HiveRules(own, Entries(own, "hive"), NOW), clock=lambda: NOW)) as kept:
        yield kept


def test_a_commit_of_an_unknown_task_needs_acks_that_distinct_devices_signed(
    store: RecordStore,
) -> None:
    fine, other = commit(WITNESSES[0]), commit(WITNESSES[1], value=sha256(b"x").hexdigest())
    twice = replace(fine, acks=fine.acks * 2)
    borrowed = replace(fine, acks=other.acks)
    renamed = replace(fine, acks=((name(STRANGER), fine.acks[0][1]),))
    for bad in (twice, borrowed, renamed):
        with pytest.raises(ProtocolError):
            store.add(wire(OWNER, bad))
    assert store.count == 0
    assert store.add(wire(OWNER, fine))


def test_a_commit_of_a_task_that_is_held_needs_a_quorum_of_its_witnesses(
    store: RecordStore,
) -> None:
    assert store.add(wire(OWNER, TASK))
    for signers in (WITNESSES[:2], [*WITNESSES[:2], STRANGER]):
        with pytest.raises(BadSignature, match="without a quorum"):
            store.add(wire(OWNER, commit(*signers)))
    assert store.add(wire(OWNER, commit(*WITNESSES[:3])))
    assert [record.kind for record in store.live(TASK.key, "commit")] == ["commit"]


def test_a_waiver_of_a_task_that_is_held_comes_from_its_owner(store: RecordStore) -> None:
    waiver = Waiver(task=TASK.id, epoch=1, output=VALUE, worker=name(WORKER))
    assert store.add(wire(OWNER, TASK))
    for author in (WORKER, STRANGER, WITNESSES[0]):
        with pytest.raises(BadSignature, match="does not own the task"):
            store.add(wire(author, waiver))
    assert store.add(wire(OWNER, waiver))


def test_an_invitation_is_shown_and_not_stored(store: RecordStore) -> None:
    invite = Invite(task=TASK.id, epoch=1, output=VALUE, verifier=name(STRANGER))
    with pytest.raises(BadEncoding, match="no such kind"):
        store.add(wire(OWNER, invite))


def test_a_ballot_of_a_task_that_is_held_comes_from_its_owner(store: RecordStore) -> None:
    ballot = Ballot(task=TASK.id, output=VALUE, votes=())
    assert store.add(wire(OWNER, TASK))
    for author in (WORKER, STRANGER):
        with pytest.raises(BadSignature, match="does not own the task"):
            store.add(wire(author, ballot))
    assert store.add(wire(OWNER, ballot))


def test_a_false_task_of_the_same_name_does_not_shut_out_the_true_commit(
    store: RecordStore,
) -> None:
    false = replace(
        TASK, owner=name(STRANGER), committee=Committee(witnesses=(name(STRANGER),), quorum=1)
    )
    store.join([wire(STRANGER, false), wire(OWNER, TASK)])
    assert store.add(wire(OWNER, commit(*WITNESSES[1:])))


@pytest.mark.parametrize(
    "body", [TASK, made(1), commit(WITNESSES[0])], ids=["task", "output", "commit"]
)
def test_what_an_agent_said_is_never_taken_back(store: RecordStore, body: Body) -> None:
    record = wire(OWNER, body)
    assert store.add(record)
    with pytest.raises(ProtocolError, match="for good"):
        store.add(sign_tombstone(OWNER, record))
    assert store.live(TASK.key) == (record,)


def test_many_strangers_do_not_push_a_witness_or_an_owner_from_a_tasks_key(
    store: RecordStore,
) -> None:
    store.add(wire(OWNER, TASK))
    ours = [wire(WITNESSES[0], made(1)), wire(OWNER, made(2))]
    store.join(ours)
    for number in range(60):
        store.join([wire(somebody(f"sybil {number}"), made(3, f"{number}"))])
    for number in range(60):
        store.join([wire(STRANGER, made(number, "spam"))])
    held = store.live(TASK.key, Kind.OUTPUT.value)
    assert set(ours) <= set(held)
    assert len(held) == 32
    assert sum(record.author == STRANGER.public for record in held) <= 1
