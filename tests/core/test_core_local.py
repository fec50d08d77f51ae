"""What concerns the owner's device alone: the same life and story, no letters, one commit."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from pockethive.core.effects import (
    AskWitness,
    Effect,
    Publish,
    PublishAll,
    Send,
    StopSkill,
    TellCoordinator,
    WorkHere,
)
from pockethive.core.entry import Close, Commit, Output
from pockethive.core.entry_codec import decode_body, encode_body, kind_of
from pockethive.core.events import (
    EntryArrived,
    GoalSubmitted,
    GraphClosed,
    GraphOpened,
    MembersChanged,
    Restarted,
    SkillDone,
    SkillFailed,
    TaskEnded,
    TimerFired,
)
from pockethive.core.fold import fold, proven
from pockethive.core.graph import TaskGraph
from pockethive.core.journal_codec import RowReader, RowWriter
from pockethive.core.labels import Label
from pockethive.core.ledger import Ledger, LedgerSettings
from pockethive.core.ledger_local import AT_ONCE
from pockethive.core.lifecycle import Status
from pockethive.core.proof import prove_task
from pockethive.core.report import TaskReport
from pockethive.core.spec import Limits
from pockethive.core.task import Verification
from tests.core.core_play import DEVICES, OWNER_KEY, RUN, edge, entry, member, planned, verify
from tests.core.ledger_play import of

OWNER, OTHER = DEVICES[:2]
HERE: dict[str, Any] = {"label": Label.DEVICE, "verification": Verification(checks=())}
CHAIN = TaskGraph((planned("a", **HERE), planned("b", (edge("a"),), **HERE)))
ALONE = (member(OWNER),)


def value(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def ledger(graph: TaskGraph, **limits: int) -> tuple[Ledger, tuple[Effect, ...]]:
    """A lonely owner's ledger with an open run, and what came of opening it."""
    skills = frozenset(task.skill for task in graph.tasks)
    own = LedgerSettings(device=OWNER, owner_key=OWNER_KEY, limits=Limits(**limits), skills=skills)
    made = Ledger(own, verify)
    made.handle(MembersChanged(members=ALONE), 0.0)
    made.handle(GoalSubmitted(run=RUN, goal="why?", wall=1_900_000_000.0), 0.0)
    return made, made.handle(GraphOpened(run=RUN, graph=graph), 0.0)


def done(order: WorkHere, text: str = "") -> SkillDone:
    return SkillDone(
        task=order.task,
        epoch=order.epoch,
        output=value(text or order.planned.name),
        size=5,
        model="",
        inputs=(),
    )


def reports(effects: tuple[Effect, ...]) -> list[TaskReport]:
    told = [each.event for each in of(TellCoordinator, effects)]
    return [event.report for event in told if isinstance(event, TaskEnded)]


def test_a_lonely_chain_is_worked_on_here_and_nobody_is_told_anything() -> None:
    book, opened = ledger(CHAIN)
    (first,) = of(WorkHere, opened)
    after = book.handle(done(first), 1.0)
    (second,) = of(WorkHere, after)
    end = book.handle(done(second), 2.0)
    assert second.inputs == (("a", value("a")),)
    for effects in (opened, after, end):
        assert not of(Publish, effects) + of(Send, effects) + of(AskWitness, effects)
    report = reports(end)[0]
    assert (report.status, report.output, report.worker) == ("committed", value("b"), OWNER)
    words = [line.partition(": ")[2] for line in report.story]
    assert words == [
        "ready",
        "claimed by this device alone at epoch 1",
        "made here at epoch 1",
        "committed: this device is its only witness",
    ]


def test_what_is_signed_afterwards_proves_the_commit_to_every_reader() -> None:
    book, opened = ledger(CHAIN)
    (report,) = reports(book.handle(done(of(WorkHere, opened)[0]), 1.0))
    bodies = [decode_body(kind_of(body), encode_body(body)) for body in report.unsigned]
    said = [entry(OWNER, body) for body in bodies]
    view = fold(said, verify)
    assert view is not None
    assert (view.status, view.output, view.worker) == (Status.COMMITTED, value("a"), OWNER)
    proof = prove_task(report.id, said, verify)
    assert (set(proof.acks), proof.output) == ({OWNER}, value("a"))


def test_a_commit_without_acks_is_an_ack_of_its_author_and_of_nobody_else() -> None:
    book, opened = ledger(CHAIN)
    (report,) = reports(book.handle(done(of(WorkHere, opened)[0]), 1.0))
    task, _, commit = report.unsigned
    assert isinstance(commit, Commit)
    assert proven(entry(OWNER, commit), report.task, verify)
    assert not proven(entry(OTHER, commit), report.task, verify)
    wider = replace(report.task.committee, witnesses=DEVICES[:3], quorum=2)
    assert not proven(entry(OWNER, commit), replace(report.task, committee=wider), verify)
    assert task == report.task
    assert report.task.place == OWNER  # so no witness leases it to anybody else


def test_after_a_commit_no_other_output_is_taken() -> None:
    book, opened = ledger(CHAIN)
    (order,) = of(WorkHere, opened)
    book.handle(done(order), 1.0)
    for late in (
        done(order, "another"),
        replace(done(order), epoch=2),
        SkillFailed(task=order.task, epoch=1, reason="late"),
    ):
        assert book.handle(late, 2.0) == ()


def test_a_failed_skill_uses_up_an_attempt_and_the_next_has_another_epoch() -> None:
    book, opened = ledger(CHAIN, attempts=2)
    (order,) = of(WorkHere, opened)
    book.handle(SkillFailed(task=order.task, epoch=1, reason="no paper"), 1.0)
    (again,) = of(WorkHere, book.handle(TimerFired(name="tick"), 2.0))
    assert (again.task, again.epoch) == (order.task, 2)
    assert book.handle(done(order), 2.1) == (), "the first attempt is over"
    effects = book.handle(SkillFailed(task=order.task, epoch=2, reason="no ink"), 3.0)
    told = {report.name: report for report in reports(effects)}
    assert told["a"].status == told["b"].status == "failed"
    assert "no ink" in told["a"].reason
    assert isinstance(told["a"].unsigned[-1], Close)
    assert not of(Publish, effects)


def test_the_agents_have_a_bounded_number_of_orders_and_all_tasks_come_to_their_end() -> None:
    names = [f"t{number:03}" for number in range(3 * AT_ONCE)]
    book, opened = ledger(TaskGraph(tuple(planned(name, **HERE) for name in names)))
    waiting = of(WorkHere, opened)
    assert len(waiting) == AT_ONCE
    ended = 0
    while waiting:
        effects = book.handle(done(waiting.pop(0)), 1.0)
        waiting += of(WorkHere, effects)
        ended += len(reports(effects))
        assert len(waiting) <= AT_ONCE
    assert ended == len(names)


@pytest.mark.parametrize("changes", [{"label": Label.HIVE}, {"skill": "other"}, {"place": OTHER}])
def test_what_others_must_see_or_could_do_goes_the_ordinary_way(changes: dict[str, str]) -> None:
    task = planned("a", **{**HERE, **changes})
    skills = frozenset({"search"})
    own = LedgerSettings(device=OWNER, owner_key=OWNER_KEY, limits=Limits(), skills=skills)
    book = Ledger(own, verify)
    book.handle(MembersChanged(members=ALONE), 0.0)
    book.handle(GoalSubmitted(run=RUN, goal="why?", wall=1_900_000_000.0), 0.0)
    effects = book.handle(GraphOpened(run=RUN, graph=TaskGraph((task,))), 0.0)
    assert not of(WorkHere, effects)
    assert [each.body.name for each in of(Publish, effects)] == ["a"]


def test_a_device_that_joins_in_mid_run_gets_ordinary_offers_of_what_has_not_begun() -> None:
    graph = TaskGraph((*CHAIN.tasks, planned("c", (edge("b"),), **HERE)))
    book, opened = ledger(graph)
    (first,) = of(WorkHere, opened)
    (second,) = of(WorkHere, book.handle(done(first), 1.0))
    joined = book.handle(MembersChanged(members=(*ALONE, member(OTHER))), 1.5)
    (shared,) = of(Publish, joined)
    assert (shared.body.name, shared.body.place) == ("c", None)
    end = book.handle(done(second), 2.0)
    assert reports(end)[0].status == "committed", "what had begun is ended here"
    assert not of(WorkHere, end)
    (shown,) = of(PublishAll, book.handle(EntryArrived(entry=entry(OWNER, shared.body)), 2.1))
    assert not of(Send, book.handle(TimerFired(name="tick"), 2.5)), "what it reads does not stand"
    assert of(PublishAll, book.handle(TimerFired(name="tick"), 8.0)) == [shown]
    bodies = [each.body for each in shown.entries]
    assert [type(body).__name__ for body in bodies] == ["Task", "Output", "Commit"]
    assert isinstance(bodies[1], Output)
    offers = [
        effect
        for body in bodies
        for effect in of(Send, book.handle(EntryArrived(entry=entry(OWNER, body)), 8.0))
    ]
    offers += of(Send, book.handle(TimerFired(name="tick"), 8.5))
    assert {offer.to for offer in offers} == {OWNER, OTHER}, "one after the other"
    assert offers[0].message.inputs == (("b", second.task),)


def test_what_is_cancelled_is_taken_from_the_agent() -> None:
    book, opened = ledger(CHAIN)
    (order,) = of(WorkHere, opened)
    effects = book.handle(GraphClosed(run=RUN, detail="enough"), 1.0)
    assert of(StopSkill, effects) == [StopSkill(task=order.task, epoch=1)]
    assert {report.status for report in reports(effects)} == {"cancelled"}
    assert book.handle(done(order), 2.0) == ()


def test_after_a_restart_the_agent_gets_the_same_order_again() -> None:
    book, opened = ledger(CHAIN)
    (first,) = of(WorkHere, opened)
    (second,) = of(WorkHere, book.handle(done(first), 1.0))
    effects = book.handle(Restarted(wall=1_900_000_010.0), 2.0)
    assert of(WorkHere, effects) == [second]


def test_the_journal_has_one_small_row_of_what_the_agent_said() -> None:
    _, opened = ledger(CHAIN)
    (order,) = of(WorkHere, opened)
    reader = RowReader(lambda wire: entry(OWNER, CHAIN))  # type: ignore[arg-type]  # not asked
    for event in (done(order), SkillFailed(task=order.task, epoch=1, reason="no paper")):
        row = RowWriter().row(event)
        assert reader.event(row) == event
        assert len(row) < 250
