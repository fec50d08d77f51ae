"""What a standing and a waiver are worth: to the ledger, to witnesses, to readers."""

from dataclasses import replace
from typing import Any

import pytest

from pockethive.core.credibility import Seen, Standing, after, drawn, seen, trust
from pockethive.core.entry import Entry, Output, Waiver
from pockethive.core.errors import GraphError
from pockethive.core.graph import TaskGraph
from pockethive.core.labels import Label
from pockethive.core.lease import Ack, AskCommit, AskLease, Refusal, Refused, WitnessAnswer
from pockethive.core.task import DeviceId, Task, TaskId
from pockethive.core.verification import check_plan, evidence, satisfied, waived
from pockethive.core.witness import Witness, WitnessAsked
from tests.core.core_play import (
    CHECKED,
    DEVICES,
    entry,
    make_task,
    output,
    planned,
    sha,
    verdict,
    verify,
)

OWNER, WORKER, OTHER = DEVICES[:3]
ADAPTIVE = replace(CHECKED, adaptive=True)
TASK = replace(make_task(), verification=ADAPTIVE)


def asked_to_commit(task: Task, made: Entry, proof: Entry) -> WitnessAnswer:
    """What a witness says that granted the worker epoch 1."""
    witness, now = Witness(DEVICES[3], verify), task.began + 5.0
    lease = AskLease(task=task.id, epoch=1, seconds=15, entry=entry(OWNER, task))
    asked = WitnessAsked(peer=WORKER, request=lease, born=task.began - 100.0)
    cell, _ = witness.decide(None, asked, now)
    commit = AskCommit(task=task.id, epoch=1, output=sha("right"), evidence=(made, proof))
    return witness.decide(cell, replace(asked, peer=OWNER, request=commit), now)[1]


def waiver_of(made: Entry, author: DeviceId = OWNER, **changes: Any) -> Entry:
    assert isinstance(made.body, Output)
    body = Waiver(
        task=made.body.task, epoch=made.body.epoch, output=made.body.output, worker=made.author
    )
    return entry(author, replace(body, **changes))


# what a standing is worth


def test_ten_in_a_row_are_trusted_and_one_lie_ends_the_row() -> None:
    standing = Standing()
    for number in range(10):
        assert trust(standing) == 0, number
        standing = after(standing, valid=True)
    assert trust(standing) == 0.9
    assert trust(replace(standing, in_a_row=100)) == 0.99
    assert after(standing, valid=False) == Standing(0, 10, 1)
    assert seen(standing, Seen.WITHDRAWN) == Standing(0, 10, 0)


def test_draws_are_even_below_one_and_of_the_owner_alone() -> None:
    draws = [drawn(b"secret", TaskId(f"task {n}"), 1) for n in range(2_000)]
    assert all(0 <= draw < 1 for draw in draws)
    assert sum(draw < 0.9 for draw in draws) == pytest.approx(1_800, abs=60)
    assert (
        drawn(b"another", TASK.id, 1)
        != drawn(b"secret", TASK.id, 1)
        != drawn(b"secret", TASK.id, 2)
    )


# what a waiver is worth


def test_only_the_owners_waiver_for_that_output_and_worker_stands_for_verdicts() -> None:
    made = output(TASK.id, WORKER)
    good = waiver_of(made)
    assert satisfied(TASK, made, [good])
    assert evidence(TASK, made, [good]) == (good,)
    for bad in (
        waiver_of(made, author=WORKER),
        waiver_of(made, author=OTHER),
        waiver_of(made, worker=OTHER),
        waiver_of(made, output=sha("another")),
        waiver_of(made, epoch=2),
        waiver_of(made, task=make_task("another").id),
    ):
        assert not satisfied(TASK, made, [bad])
    assert not satisfied(make_task(), made, [good])  # not adaptive
    placed = replace(TASK, place=OTHER)
    assert not satisfied(placed, made, [good])
    unchecked = replace(TASK, verification=replace(ADAPTIVE, checks=()))
    assert not satisfied(unchecked, made, [good])


def test_verdicts_go_before_a_waiver_and_count_as_before() -> None:
    made = output(TASK.id, WORKER)
    said = verdict(made, OTHER)
    assert evidence(TASK, made, [waiver_of(made), said]) == (said,)
    assert waived(TASK, made, [said]) is None
    assert satisfied(TASK, made, [verdict(made, OTHER, accept=False), waiver_of(made)])


def test_a_witness_acks_what_the_owner_waived_and_nothing_else() -> None:
    made = output(TASK.id, WORKER)
    assert isinstance(asked_to_commit(TASK, made, waiver_of(made)), Ack)
    plain = make_task()
    for task, proof in (
        (TASK, waiver_of(made, author=WORKER)),
        (TASK, waiver_of(made, author=DEVICES[3])),
        (TASK, waiver_of(made, epoch=2)),
        (plain, waiver_of(made)),
    ):
        refused = asked_to_commit(task, made, proof)
        assert isinstance(refused, Refusal)
        assert refused.reason is Refused.UNPROVEN


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"verification": replace(ADAPTIVE, checks=())}, "adaptive, but has no checks"),
        ({"verification": ADAPTIVE, "label": Label.DEVICE}, "adaptive, but its label keeps it"),
    ],
)
def test_a_plan_where_credit_makes_no_sense_is_refused(changes: Any, told: str) -> None:
    with pytest.raises(GraphError, match=told):
        check_plan(TaskGraph((planned("a", **changes),)))
