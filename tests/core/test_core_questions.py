"""Tasks that ask a person: the owner's own word, and nobody else's, lets an output be committed."""

from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any

import pytest

from pockethive.core.effects import (
    AskOwner,
    AskWitness,
    CloseQuestion,
    Effect,
    KeepBlob,
    KeepStanding,
    Publish,
    RunChecks,
    RunSkill,
    Send,
    SignEntry,
    Tell,
)
from pockethive.core.entry import Entry, Kind, Output
from pockethive.core.events import (
    EntryArrived,
    GraphClosed,
    Leaving,
    OwnerAnswered,
    QuestionShown,
    TimerFired,
)
from pockethive.core.graph import TaskGraph
from pockethive.core.lease import AskCommit, AskSlot
from pockethive.core.message import LetGo, Made
from pockethive.core.proof import prove_task
from pockethive.core.question import read_remarks, remarks_blob
from pockethive.core.report import Outcome, RunStatus
from pockethive.core.spec import Limits
from pockethive.core.task import Check, DeviceId, Policy, Task, Verification
from pockethive.core.testing import Table
from tests.core.core_play import (
    DEVICES,
    RUN,
    edge,
    entry,
    grants,
    make_task,
    output,
    planned,
    ruling,
    sha,
    sign,
    verdict,
    verify,
)
from tests.core.journal_play import JournalTable, plan
from tests.core.ledger_play import frozen, of, opened, said

ASKED = Verification(checks=(Check(Policy.HUMAN, "human"),))
OWNER, WORKER, OTHER = DEVICES[:3]
TASK = replace(make_task(), verification=ASKED)
MADE = output(TASK.id, WORKER)
CHAIN = TaskGraph((planned("a", verification=ASKED), planned("b", (edge("a"),))))
ALONE = TaskGraph((planned("a", verification=ASKED),))
LONG = Limits(timeout_seconds=20_000)


def table(seed: str, count: int = 4, **changes: Any) -> Table:
    return Table(plan(f"asked {seed}", count, **changes), sign, verify)


def done(played: Table, *kinds: type[Effect]) -> list[tuple[float, Any]]:
    return [
        (line.at, effect)
        for line in played.transcript
        for effect in line.effects
        if isinstance(effect, kinds)
    ]


def report(outcome: Outcome, name: str = "a") -> Any:
    return next(each for each in outcome.tasks if each.name == name)


class TestRuns:
    def test_nothing_goes_on_before_the_owner_has_said_yes_and_no_device_judges(self) -> None:
        played = table("quiet", thinking=20.0)
        outcome = played.run(CHAIN)
        assert outcome.status is RunStatus.COMPLETED
        ((asked_at, asked),) = done(played, AskOwner)
        assert asked.task.name == "a"
        (ruled,) = [e for _, e in done(played, Publish) if e.kind is Kind.RULING]
        assert ruled.body.accept
        begun = {effect.task.name: at for at, effect in done(played, RunSkill)}
        assert begun["a"] < asked_at < asked_at + 20 < begun["b"]
        judged = [effect.task.name for _, effect in done(played, RunChecks)]
        invited = [e.body.task for _, e in done(played, SignEntry) if e.kind is Kind.INVITE]
        slots = [e for _, e in done(played, AskWitness) if isinstance(e.request, AskSlot)]
        assert set(judged) == {"b"}
        assert not [task for task in invited if task == asked.task.id]
        assert not [slot for slot in slots if slot.request.task == asked.task.id]
        receipts = [receipt.kind for receipt in report(outcome).receipts]
        assert receipts.count(Kind.RULING) == 1
        assert Kind.VERDICT not in receipts
        assert OWNER in report(outcome).holders

    def test_whoever_does_it_again_is_told_why_the_owner_rejected_it(self) -> None:
        first = report(table("who").run(ALONE)).worker
        played = table("who", liars=frozenset((first,)))
        outcome = played.run(ALONE)
        one, two = [effect for _, effect in done(played, RunSkill)]
        told = remarks_blob(("it is wrong",))
        assert (one.remarks, two.remarks) == ("", sha256(told).hexdigest())
        assert told in [effect.data for _, effect in done(played, KeepBlob)]
        assert read_remarks(told) == ("it is wrong",)
        assert outcome.status is RunStatus.COMPLETED
        assert report(outcome).attempts == 2
        assert report(outcome).worker != first
        assert "rejected by its owner: it is wrong" in " ".join(report(outcome).story)

    def test_the_owner_s_patience_has_the_bounds_of_all_attempts(self) -> None:
        played = table("always wrong", liars=frozenset(DEVICES))
        outcome = played.run(ALONE)
        assert outcome.status is RunStatus.FAILED
        assert "3 attempts failed" in outcome.reason
        assert outcome.reason.count("rejected by its owner: it is wrong") == 3

    def test_a_person_s_word_is_to_nobody_s_credit(self) -> None:
        for liars in (frozenset[DeviceId](), frozenset(DEVICES)):
            played = table("no credit", liars=liars, secret=b"of the owner")
            played.run(ALONE)
            assert not done(played, KeepStanding)

    def test_the_time_limit_names_the_question_that_was_not_answered(self) -> None:
        outcome = table("silent", thinking=5_000.0).run(CHAIN, 900)
        assert outcome.status is RunStatus.TIMED_OUT
        assert outcome.reason == (
            "the time limit of 300 s passed while its owner was asked whether he accepts a"
        )
        assert "had not said whether he accepts its output" in report(outcome).reason
        assert "owner" not in report(outcome, "b").reason

    def test_a_budget_that_is_used_up_does_not_take_the_question_back(self) -> None:
        limits = Limits(timeout_seconds=900, tokens=100)
        played = table("spent", thinking=200.0, tokens=100, limits=limits)
        outcome = played.run(CHAIN, 900)
        assert report(outcome).status == "committed"
        assert outcome.status is RunStatus.PARTIAL

    @pytest.mark.parametrize("thinking", [30.0, 1_000.0, 9_000.0])
    def test_an_owner_may_think_for_hours_though_the_maker_is_gone(self, thinking: float) -> None:
        maker = report(table("gone").run(ALONE)).worker
        played = table("gone", thinking=thinking, crashes={maker: 10.0}, limits=LONG)
        outcome = played.run(ALONE, 20_000)
        assert outcome.status is RunStatus.COMPLETED, outcome.reason
        assert (report(outcome).worker, report(outcome).attempts) == (maker, 1)
        assert len(done(played, AskOwner)) == 1

    @pytest.mark.parametrize("at", [3.0, 30.0])
    def test_a_maker_that_leaves_while_he_thinks_costs_no_second_question(self, at: float) -> None:
        maker = report(table("left").run(ALONE)).worker
        played = table("left", thinking=100.0)
        played._at(at, partial(played.feed, maker, Leaving(patient=False)))
        outcome = played.run(ALONE)
        assert outcome.status is RunStatus.COMPLETED, outcome.reason
        assert len(done(played, AskOwner)) == 1
        made = [e for e in report(outcome).receipts if isinstance(e.body, Output)]
        assert [each.author for each in made] == [maker]

    def test_a_lease_that_was_given_back_unheard_costs_a_new_one_and_no_attempt(self) -> None:
        maker = report(table("unheard").run(ALONE)).worker
        cuts = ((3.0, 9.0, frozenset((OWNER,))),)
        limits = Limits(timeout_seconds=300, attempts=1)
        played = table("unheard", thinking=60.0, cuts=cuts, limits=limits)
        played._at(4.0, partial(played.feed, maker, Leaving(patient=False)))
        outcome = played.run(ALONE)
        assert outcome.status is RunStatus.COMPLETED, outcome.reason
        assert len(done(played, AskOwner)) == 1
        (ruled_at,) = [at for at, e in done(played, Publish) if e.kind is Kind.RULING]
        assert played.now < ruled_at + 6
        assert report(outcome).epoch == 2

    @pytest.mark.parametrize("seed", range(4))
    def test_loss_and_dying_witnesses_cost_no_run_its_end(self, seed: int) -> None:
        crashes = {DEVICES[5]: 4.0, DEVICES[6]: 6.0} if seed % 2 else {}
        how = {"loss": 0.05, "doubled": 0.1, "crashes": crashes, "thinking": 40.0}
        played = table(f"lossy {seed}", 7, limits=Limits(timeout_seconds=900), **how)
        outcome = played.run(CHAIN, 1_000)
        assert outcome.status is RunStatus.COMPLETED, outcome.reason
        proof = prove_task(report(outcome).id, report(outcome).receipts, verify)
        assert proof.ruled_by == OWNER


class TestCrashes:
    def answered_at(self, seed: str) -> int:
        """The row in which the owner's answer is written."""
        quiet = JournalTable(plan(seed, thinking=8.0))
        quiet.run(ALONE)
        return next(n for n, step in enumerate(quiet.steps, 1) if b'"answer"' in step.row)

    def test_an_answer_that_was_written_before_a_crash_is_not_asked_for_again(self) -> None:
        for later in range(4):
            row = self.answered_at("crash") + later
            played = JournalTable(plan("crash", thinking=8.0), frozenset((row,)))
            outcome = played.run(ALONE)
            assert (played.crashes, outcome.status) == (1, RunStatus.COMPLETED)
            assert len(done(played, AskOwner)) == 1, row
            assert report(outcome).attempts == 1

    def test_it_is_on_the_disk_before_it_is_said(self) -> None:
        """What binds is never lost, not even with the power."""
        row = self.answered_at("power")
        played = JournalTable(plan("power", thinking=8.0), frozenset((row,)), forgets=20)
        assert played.run(ALONE).status is RunStatus.COMPLETED
        assert len(done(played, AskOwner)) == 1

    def test_a_question_that_was_open_is_open_again(self) -> None:
        row = self.answered_at("open") - 1
        played = JournalTable(plan("open", thinking=8.0), frozenset((row,)))
        outcome = played.run(ALONE)
        (_, first), (_, again) = done(played, AskOwner)
        assert first.output == again.output
        assert (outcome.status, report(outcome).attempts) == (RunStatus.COMPLETED, 1)


class TestLedger:
    def asked(self) -> tuple[Any, Task, Entry]:
        """A ledger that asks its owner about an output."""
        ledger, (task,) = opened(graph=ALONE)
        made = output(task.id, WORKER)
        effects = ledger.handle(said(WORKER, Made(entry=made, grants=grants(task, WORKER))), 1.0)
        assert [ask.output for ask in of(AskOwner, effects)] == [made]
        return ledger, task, made

    def answer(self, made: Entry, accept: bool = True, **changes: Any) -> OwnerAnswered:
        assert isinstance(made.body, Output)
        body = made.body
        said = OwnerAnswered(
            task=body.task, epoch=body.epoch, output=body.output, accept=accept, reason=""
        )
        return replace(said, **changes)

    def test_an_answer_is_said_once_and_the_first_one_stays(self) -> None:
        ledger, _, made = self.asked()
        effects = ledger.handle(self.answer(made), 2.0)
        (publish,) = of(Publish, effects)
        assert (publish.body.accept, publish.body.worker) == (True, WORKER)
        assert [close.how for close in of(CloseQuestion, effects)] == ["accepted"]
        again = ledger.handle(self.answer(made, accept=False, reason="no"), 2.1)
        assert [close.how for close in of(CloseQuestion, again)] == ["over"]
        assert not of(Publish, again)
        ledger.handle(EntryArrived(entry=entry(OWNER, publish.body)), 2.2)
        later = ledger.handle(self.answer(made, accept=False, reason="no"), 2.3)
        assert not of(Publish, later)

    @pytest.mark.parametrize(
        "changes", [{"epoch": 2}, {"output": sha("another")}, {"task": make_task("z").id}]
    )
    def test_an_answer_about_something_else_is_none(self, changes: dict[str, Any]) -> None:
        ledger, _, made = self.asked()
        effects = ledger.handle(self.answer(made, **changes), 2.0)
        assert [close.how for close in of(CloseQuestion, effects)] == ["over"]
        assert not of(Publish, effects)
        assert of(Publish, ledger.handle(self.answer(made), 2.1))  # it is still asked

    def test_what_nobody_wants_to_know_any_more_is_taken_back(self) -> None:
        ledger, task, made = self.asked()
        assert isinstance(made.body, Output)
        shown_ = QuestionShown(task=task.id, epoch=1, output=made.body.output, shown=True)
        told = ledger.handle(shown_, 1.5)
        assert [e.happening.what for e in of(Tell, told)] == ["asked"]
        assert not of(CloseQuestion, ledger.handle(TimerFired(name="tick"), 2.0))
        ledger.handle(GraphClosed(run=RUN, detail="cancelled by the caller"), 2.2)
        effects = ledger.handle(TimerFired(name="tick"), 2.5)
        assert [close.how for close in of(CloseQuestion, effects)] == ["over"]
        assert [c.how for c in of(CloseQuestion, ledger.handle(self.answer(made), 3.0))] == ["over"]

    def test_a_ruling_that_this_device_did_not_sign_is_none(self) -> None:
        ledger, _, made = self.asked()
        before = frozen(ledger)
        assert ledger.handle(EntryArrived(entry=ruling(made, WORKER)), 2.0) == ()
        assert frozen(ledger) == before

    def test_a_verdict_of_a_device_does_not_stand_in_for_him(self) -> None:
        ledger, _, made = self.asked()
        effects = ledger.handle(said(OTHER, Made(entry=verdict(made, OTHER), grants=())), 2.0)
        assert not [e for e in of(AskWitness, effects) if isinstance(e.request, AskCommit)]

    def test_an_output_that_cannot_be_fetched_is_made_again_after_some_tries(self) -> None:
        ledger, task, made = self.asked()
        assert isinstance(made.body, Output)
        gone = QuestionShown(task=task.id, epoch=1, output=made.body.output, shown=False)
        asked = 1
        for second in range(2, 60, 3):
            effects = ledger.handle(gone, float(second))
            letters = [e.message for e in of(Send, effects) if isinstance(e.message, LetGo)]
            if letters:
                break
            assert not of(AskOwner, effects)  # not at once
            asked += len(of(AskOwner, ledger.handle(TimerFired(name="tick"), second + 2.5)))
        assert asked == 5
        assert [letter.reason for letter in letters] == [
            "its output could not be fetched for its owner to see"
        ]
