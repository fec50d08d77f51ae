"""Folding: order-free, repeatable, deaf to strangers, and a commit is believed for its acks."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import to_text
from pockethive.core.entry import Claim, Close, CloseReason, Commit, Entry
from pockethive.core.fold import fold
from pockethive.core.lifecycle import Status
from pockethive.core.task import Committee, DeviceId
from tests.core.core_play import DEVICES, acks, entry, make_task, output, sha, sign, verdict, verify

TASK = make_task()
OWNER, WORKER, OTHER, THIRD = DEVICES[:4]
SIGNED = entry(OWNER, TASK)
CLAIM = entry(WORKER, Claim(task=TASK.id, epoch=1, until=9))
MADE = output(TASK.id, WORKER)
SAID = verdict(MADE, OTHER)
NO = verdict(MADE, THIRD, accept=False)


def commit(count: int = 3, epoch: int = 1, text: str = "right") -> Entry:
    body = Commit(
        task=TASK.id,
        generation=1,
        epoch=epoch,
        output=sha(text),
        acks=acks(TASK, epoch, sha(text), count),
    )
    return entry(OWNER, body)


def close(author: DeviceId = OWNER) -> Entry:
    return entry(author, Close(task=TASK.id, reason=CloseReason.FAILED, detail="why"))


EVERYTHING = (
    SIGNED,
    CLAIM,
    MADE,
    SAID,
    NO,
    commit(),
    commit(2),
    close(),
    close(WORKER),
    output(TASK.id, OTHER, 2, "another"),
    output(make_task("other").id, WORKER),
    verdict(MADE, WORKER),
    output(TASK.id, WORKER, 1, "right"),
    entry(OWNER, make_task("other")),
)


@given(st.lists(st.sampled_from(EVERYTHING), max_size=30), st.randoms())
def test_order_and_repetition_change_nothing(entries: list[Entry], dice: Random) -> None:
    shuffled = list(entries) * 2
    dice.shuffle(shuffled)
    assert fold(shuffled, verify, TASK.id) == fold(entries, verify, TASK.id)


@given(st.lists(st.sampled_from(EVERYTHING), max_size=30))
def test_a_proven_commit_is_never_undone_by_further_entries(entries: list[Entry]) -> None:
    view = fold([SIGNED, MADE, commit(), *entries], verify, TASK.id)
    assert view is not None
    assert (view.status, view.output, view.worker) == (Status.COMMITTED, sha("right"), WORKER)


@pytest.mark.parametrize(
    ("entries", "status"),
    [
        ((), Status.READY),
        ((CLAIM,), Status.CLAIMED),
        ((CLAIM, MADE), Status.PROPOSED),
        ((MADE, close()), Status.FAILED),
        ((MADE, close(), commit()), Status.COMMITTED),
        ((MADE, SAID, commit()), Status.COMMITTED),
        ((MADE, close(WORKER)), Status.PROPOSED),
        ((MADE, commit(2)), Status.PROPOSED),
    ],
)
def test_the_status_is_what_the_entries_prove(entries: tuple[Entry, ...], status: Status) -> None:
    view = fold((SIGNED, *entries), verify)
    assert view is not None
    assert view.status is status


def test_without_the_owners_task_there_is_nothing_to_see() -> None:
    assert fold((MADE, SAID, commit()), verify) is None
    assert fold((entry(WORKER, TASK), MADE), verify) is None


def test_acks_of_strangers_of_another_value_or_twice_the_same_prove_nothing() -> None:
    real = acks(TASK, 1, sha("right"), 2)
    stranger = (DEVICES[6], to_text(sign(DEVICES[6], b"ack")))
    for extra in (stranger, real[0], acks(TASK, 1, sha("wrong"), 3)[2]):
        body = Commit(task=TASK.id, generation=1, epoch=1, output=sha("right"), acks=(*real, extra))
        view = fold((SIGNED, MADE, entry(OWNER, body)), verify)
        assert view is not None
        assert view.commit is None


def test_a_commit_of_an_older_generation_proves_nothing() -> None:
    renewed = replace(TASK, committee=Committee(witnesses=DEVICES[:4], quorum=3, generation=2))
    view = fold((entry(OWNER, renewed), MADE, commit()), verify)
    assert view is not None
    assert view.task.committee.generation == 2
    assert view.commit is None


def test_holders_are_the_worker_and_those_who_accepted() -> None:
    view = fold((SIGNED, MADE, SAID, NO, commit()), verify)
    assert view is not None
    assert view.holders == (WORKER, OTHER)
    assert len(view.verdicts) == 2


def test_a_commit_may_finish_at_a_later_epoch_what_was_made_before() -> None:
    view = fold((SIGNED, MADE, SAID, commit(epoch=3)), verify)
    assert view is not None
    assert (view.worker, view.epoch, view.output) == (WORKER, 3, sha("right"))


def test_a_verdict_on_ones_own_output_and_one_about_no_known_output_do_not_count() -> None:
    unknown = verdict(output(TASK.id, THIRD, 4, "unseen"), OTHER)
    view = fold((SIGNED, MADE, verdict(MADE, WORKER), unknown), verify)
    assert view is not None
    assert view.verdicts == ()


def test_two_values_in_one_slot_are_evidence_of_cheating() -> None:
    view = fold((SIGNED, MADE, SAID, verdict(MADE, OTHER, accept=False)), verify)
    assert view is not None
    assert {found.author for found in view.evidence} == {OTHER}
    honest = fold((SIGNED, MADE, SAID), verify)
    assert honest is not None
    assert honest.evidence == ()
    double = entry(OWNER, replace(TASK, expires=TASK.expires + 1))
    signed_twice = fold((SIGNED, double), verify)
    assert signed_twice is not None
    assert {found.author for found in signed_twice.evidence} == {OWNER}
