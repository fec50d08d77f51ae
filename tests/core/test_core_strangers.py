"""Whoever copies an owner's key into what he signs is not that owner, and takes nothing over."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import decode_object, encode, from_text, to_text
from pockethive.core.claim import claim_id, claim_of, claims_run, is_claim, keepers_of
from pockethive.core.entry import Claim, Close, CloseReason, Commit, Entry, Sealing, SealVote
from pockethive.core.errors import BadEncoding, BadSignature
from pockethive.core.events import MessageArrived, TaskRead
from pockethive.core.fold import fold, of_owner
from pockethive.core.graph import TaskGraph
from pockethive.core.labels import Label
from pockethive.core.lease import AskLease, Grant, Refusal, Refused, Seal, Sealed, seal_bytes
from pockethive.core.message import Offer
from pockethive.core.people import is_certified, may_succeed, same_owner
from pockethive.core.run_record import RunRecord, record_of
from pockethive.core.scout import Scout, ScoutSettings
from pockethive.core.sealing import successor
from pockethive.core.sources import Sources
from pockethive.core.spec import Limits
from pockethive.core.table_entries import opened_entry
from pockethive.core.task import Committee, DeviceId, PlannedTask, Task
from pockethive.core.witness import Witness, WitnessAsked
from pockethive.dht.identity import OwnerKey, certified, certify
from pockethive.dht.identity import verify as real
from pockethive.dht.testing import somebody
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    RUN,
    acks,
    certificate_of,
    device,
    edge,
    entry,
    make_task,
    output,
    planned,
    sign,
    verdict,
    verify,
)

OWNER, WITNESS, HEIR, WORKER, JUDGE = DEVICES[0], DEVICES[1], DEVICES[4], DEVICES[5], DEVICES[6]
STRANGER = device(99)
OTHER_KEY = to_text(bytes(range(32)))
NOW = 1_900_000_100.0
TASK = replace(make_task(witnesses=DEVICES[:4]), certificate=certificate_of(OWNER))
SIGNED = entry(OWNER, TASK)
MADE = getattr(output(TASK.id, WORKER).body, "output", "")
CLAIM = claim_of(TASK, OWNER, certificate_of(OWNER))


def later(owner: DeviceId, certificate: str, **changes: Any) -> Task:
    """A next generation of the task, for another device."""
    committee = Committee(witnesses=DEVICES[1:5], quorum=3, generation=2)
    return replace(TASK, owner=owner, certificate=certificate, committee=committee, **changes)


def asked(peer: DeviceId, request: AskLease | Seal, cell: bytes | None = None) -> object:
    question = WitnessAsked(peer=peer, request=request, born=0.0)
    return Witness(WITNESS, verify).decide(cell, question, NOW)[1]


def seal(certificate: str, peer: DeviceId) -> object:
    request = Seal(
        task=TASK.id,
        generation=1,
        successor=successor(TASK.committee, peer),
        entry=SIGNED,
        certificate=certificate,
    )
    return asked(peer, request)


def refused(answer: object) -> bool:
    return isinstance(answer, Refusal) and answer.reason is Refused.UNPROVEN


def test_a_witness_seals_for_the_owners_devices_alone() -> None:
    assert isinstance(seal(certificate_of(HEIR), HEIR), Sealed)
    assert refused(seal("", HEIR))
    assert refused(seal(certificate_of(HEIR), STRANGER))  # shown by another than it names
    assert refused(seal(certificate_of(STRANGER, OTHER_KEY), STRANGER))  # another owner's
    assert refused(seal(to_text(bytes(64)), STRANGER))


def test_a_witness_leases_a_runs_claim_to_the_owners_devices_alone() -> None:
    def lease(peer: DeviceId, certificate: str) -> object:
        signed = entry(OWNER, CLAIM)
        ask = AskLease(task=CLAIM.id, epoch=1, seconds=9, entry=signed, certificate=certificate)
        return asked(peer, ask)

    assert isinstance(lease(OWNER, ""), Grant)
    assert isinstance(lease(HEIR, certificate_of(HEIR)), Grant)
    assert refused(lease(HEIR, ""))
    assert refused(lease(STRANGER, certificate_of(STRANGER, OTHER_KEY)))
    assert refused(lease(STRANGER, certificate_of(HEIR)))


def test_a_witness_goes_on_with_another_device_only_for_its_certificate() -> None:
    begun = AskLease(task=TASK.id, epoch=1, seconds=15, entry=SIGNED)
    question = WitnessAsked(peer=WORKER, request=begun, born=0.0)
    cell, _ = Witness(WITNESS, verify).decide(None, question, NOW)

    def lease(task: Task) -> object:
        ask = AskLease(task=TASK.id, epoch=5, seconds=15, entry=entry(task.owner, task))
        return asked(WORKER, ask, cell)

    assert isinstance(lease(later(HEIR, certificate_of(HEIR))), Grant)
    assert refused(lease(later(STRANGER, "")))
    assert refused(lease(later(STRANGER, certificate_of(STRANGER, OTHER_KEY), owner_key=OTHER_KEY)))


def test_a_task_whose_certificate_is_none_is_not_opened() -> None:
    for certificate in (
        certificate_of(STRANGER, OTHER_KEY),
        certificate_of(OWNER),
        to_text(bytes(64)),
    ):
        copied = replace(TASK, owner=STRANGER, certificate=certificate)
        with pytest.raises(BadSignature):
            opened_entry(entry(STRANGER, copied).wire, verify)
    assert opened_entry(SIGNED.wire, verify).body == TASK


def sealed(heir: Task, owner: DeviceId | None) -> Entry:
    votes = []
    for witness in DEVICES[:3]:
        said = Sealed(
            task=TASK.id,
            generation=1,
            successor=successor(heir.committee, owner),
            epoch=0,
            accepted=None,
            wait_seconds=0,
        )
        signature = to_text(sign(witness, seal_bytes(said)))
        votes.append(SealVote(witness=witness, epoch=0, accepted=None, signature=signature))
    body = Sealing(task=TASK.id, generation=1, successor=said.successor, votes=tuple(votes))
    return entry(heir.owner, body)


def test_readers_follow_seals_to_a_device_of_the_same_owner_and_to_no_other() -> None:
    heir = later(HEIR, certificate_of(HEIR))
    view = fold((SIGNED, sealed(heir, HEIR), entry(HEIR, heir)), verify)
    assert view is not None
    assert view.task == heir
    copied = later(STRANGER, "")
    view = fold((SIGNED, sealed(copied, STRANGER), entry(STRANGER, copied)), verify)
    assert view is not None
    assert view.task == TASK
    # seals for one device are none for another that names the same witnesses
    view = fold((SIGNED, sealed(heir, device(98)), entry(HEIR, heir)), verify)
    assert view is not None
    assert view.task == TASK
    view = fold((SIGNED, sealed(heir, None), entry(HEIR, heir)), verify)
    assert view is not None
    assert view.task == TASK


def test_a_former_owner_closes_nothing_that_was_taken_over() -> None:
    heir = later(HEIR, certificate_of(HEIR))
    close = entry(OWNER, Close(task=TASK.id, reason=CloseReason.CANCELLED, detail="time"))
    before = fold((SIGNED, close), verify)
    after = fold((SIGNED, close, sealed(heir, HEIR), entry(HEIR, heir)), verify)
    assert before is not None
    assert after is not None
    assert before.close == close
    assert after.close is None


def test_an_input_is_read_across_devices_of_one_owner_and_not_for_a_copied_key() -> None:
    made = output(TASK.id, WORKER)
    accepted = Commit(task=TASK.id, generation=1, epoch=1, output=MADE, acks=acks(TASK, 1, MADE, 3))
    entries = (SIGNED, made, verdict(made, JUDGE), entry(OWNER, accepted))

    def ready(reader: Task) -> bool:
        sources = Sources((("search-1", TASK.id),), reader, verify)
        sources.take(TaskRead(task=TASK.id, entries=entries))
        return sources.ready

    reading = make_task("rank-1")
    assert ready(replace(reading, owner=OWNER, certificate=certificate_of(OWNER)))
    assert ready(replace(reading, owner=HEIR, certificate=certificate_of(HEIR)))
    assert not ready(replace(reading, owner=STRANGER, certificate=""))
    assert not ready(replace(reading, owner=STRANGER, owner_key=OTHER_KEY, certificate="x" * 86))


def test_strangers_tasks_of_the_same_name_hide_nothing_from_the_owners_devices() -> None:
    others = [device(number) for number in range(100, 110)]
    copies = [
        replace(TASK, owner=each, owner_key=OTHER_KEY, certificate=certificate_of(each, OTHER_KEY))
        for each in others
    ] + [replace(TASK, owner=each, certificate="") for each in others]
    made = output(TASK.id, WORKER)
    accepted = Commit(task=TASK.id, generation=1, epoch=1, output=MADE, acks=acks(TASK, 1, MADE, 3))
    known = (SIGNED, made, verdict(made, JUDGE), entry(OWNER, accepted))
    entries = (*known, *(entry(each.owner, each) for each in copies))
    assert min(e.digest for e in entries if isinstance(e.body, Task)) != SIGNED.digest
    view = fold(of_owner(entries, OWNER_KEY), verify)
    assert view is not None
    assert (view.task, view.output) == (TASK, MADE)
    reader = replace(make_task("rank-1"), owner=HEIR, certificate=certificate_of(HEIR))
    sources = Sources((("search-1", TASK.id),), reader, verify)
    sources.take(TaskRead(task=TASK.id, entries=entries))
    assert sources.ready


def test_a_worker_leaves_its_work_for_a_later_generation_of_the_same_owner_alone() -> None:
    def offered(task: Task) -> int:
        """Which generation the scout pursues after a second offer."""
        settings = ScoutSettings(
            device=WORKER, skills=frozenset(("search",)), has_model=True, concurrency=1
        )
        scout = Scout(settings, verify)
        for one in (TASK, task):
            offer = Offer(
                task=one.id,
                skill=one.skill,
                needs_model=False,
                label=one.label,
                place=None,
                entry=entry(one.owner, one),
            )
            scout.handle(MessageArrived(sender=one.owner, message=offer), 1.0)
        (job,) = scout._jobs.values()
        return job.task.committee.generation

    assert offered(later(HEIR, certificate_of(HEIR))) == 2
    assert offered(later(STRANGER, "")) == 1


def test_only_what_the_owner_certified_counts_as_having_a_run() -> None:
    def said(author: DeviceId, certificate: str) -> Entry:
        body = Claim(task=CLAIM.id, epoch=9, until=2_000_000_000, certificate=certificate)
        return entry(author, body)

    assert keepers_of(CLAIM, (said(HEIR, certificate_of(HEIR)),), verify) == ((9, HEIR),)
    for certificate in ("", certificate_of(HEIR), certificate_of(STRANGER, OTHER_KEY)):
        assert keepers_of(CLAIM, (said(STRANGER, certificate),), verify) == ()


def test_the_core_reads_certificates_as_the_network_does() -> None:
    owner, other = OwnerKey.from_seed(b"o" * 32), OwnerKey.from_seed(b"p" * 32)
    public = somebody("device").public
    for key in (owner, other):
        signature = certify(owner, public)
        texts = (to_text(key.public), DeviceId(to_text(public)), to_text(signature))
        assert is_certified(*texts, real) is certified(key.public, public, signature)
    assert not is_certified("", DeviceId(""), "", real)
    assert from_text(OWNER_KEY, 32)


def test_same_owner_needs_proof_and_a_claim_is_no_planned_task() -> None:
    mine = replace(make_task("rank-1"), owner=HEIR, certificate=certificate_of(HEIR))
    assert same_owner(TASK, mine)
    assert not same_owner(replace(TASK, certificate=""), mine)
    assert same_owner(replace(TASK, certificate=""), make_task("rank-1"))
    assert may_succeed(later(HEIR, certificate_of(HEIR)), TASK)
    assert not may_succeed(later(HEIR, certificate_of(HEIR), owner_key=OTHER_KEY), TASK)
    assert is_claim(CLAIM)
    assert claims_run(CLAIM.id)
    assert CLAIM.id == claim_id(RUN)
    assert not claims_run(TASK.id)
    with pytest.raises(Exception, match="not a task name"):
        record_of(RUN, "why?", 0, Limits(), graph_of(planned(CLAIM.name)))


# records


def graph_of(*tasks: PlannedTask) -> TaskGraph:
    return TaskGraph(tasks)


RECORD = record_of(
    RUN,
    "why?",
    1_900_000_000,
    Limits(timeout_seconds=77),
    graph_of(
        planned("a", params={"question": "a secret"}, label=Label.DEVICE, place=OWNER),
        planned("b", (edge("a"),), params={"question": "no secret"}),
    ),
)


def test_a_record_says_nothing_of_what_stays_on_its_device() -> None:
    assert RECORD.withheld == {"a"}
    data = RECORD.encode()
    assert b"a secret" not in data
    assert b"no secret" in data
    assert RunRecord.decode(data) == RECORD


@given(st.binary(max_size=300))
def test_random_bytes_are_no_record(data: bytes) -> None:
    with pytest.raises(BadEncoding):
        RunRecord.decode(data)


def test_a_record_with_a_field_that_is_missing_unknown_or_wrong_is_refused() -> None:
    blob = decode_object(RECORD.encode(), 10_000)
    for name in blob["value"]:
        for value in (
            {key: item for key, item in blob["value"].items() if key != name},
            {**blob["value"], name: {"x": 1}},
            {**blob["value"], "z": 1},
        ):
            with pytest.raises(BadEncoding):
                RunRecord.decode(encode({**blob, "value": value}))
    with pytest.raises(BadEncoding, match="not in its graph"):
        RunRecord.decode(encode({**blob, "value": {**blob["value"], "withheld": ["nothing"]}}))
