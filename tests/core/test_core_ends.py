"""Verifier, ledger and coordinator one event at a time: what they refuse and how runs end."""

import pytest

from pockethive.core.coordinator import Coordinator
from pockethive.core.effects import (
    CloseGraph,
    FinishRun,
    OpenGraph,
    PlanGoal,
    Publish,
    Send,
    Tell,
)
from pockethive.core.errors import ProtocolError
from pockethive.core.events import (
    EntryArrived,
    GoalSubmitted,
    GraphOpened,
    GraphPlanned,
    MembersChanged,
    MessageArrived,
    PlanningFailed,
    TimerFired,
)
from pockethive.core.graph import TaskGraph
from pockethive.core.ledger import Ledger, LedgerSettings
from pockethive.core.message import Made, Progress, VerifyOffer
from pockethive.core.report import RunStatus
from pockethive.core.spec import Limits
from pockethive.core.task import RunId
from pockethive.core.verifier import Verifier, VerifierSettings
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    RUN,
    edge,
    entry,
    grants,
    invite,
    make_task,
    member,
    output,
    planned,
    verify,
)
from tests.core.ledger_play import of

TASK = make_task()
OWNER, WORKER, OTHER = DEVICES[:3]
SIGNED = entry(OWNER, TASK)


class TestVerifier:
    def test_it_never_judges_its_own_output_and_only_what_it_can_check(self) -> None:
        for author, checkers, owner_key, asked in (
            (OTHER, {"quotation"}, OWNER_KEY, True),
            (WORKER, {"quotation"}, OWNER_KEY, False),
            (OTHER, {"arithmetic"}, OWNER_KEY, False),
            (OTHER, {"quotation"}, OTHER, False),
        ):
            settings = VerifierSettings(
                device=WORKER,
                owner_key=owner_key,
                checkers=frozenset(checkers),
                lends=False,
            )
            made = output(TASK.id, author)
            offer = VerifyOffer(
                task=TASK.id, entry=SIGNED, output=made, invite=invite(made, WORKER)
            )
            verifier = Verifier(settings, verify)
            verifier.handle(MembersChanged(members=(member(OWNER),)), 0.0)
            effects = verifier.handle(MessageArrived(sender=OWNER, message=offer), 0.0)
            assert bool(effects) == asked

    def test_a_device_that_does_not_lend_itself_believes_certificates_not_tasks(self) -> None:
        settings = VerifierSettings(
            device=WORKER,
            owner_key=OWNER_KEY,
            checkers=frozenset({"quotation"}),
            lends=False,
        )
        made = output(TASK.id, OTHER)
        offer = VerifyOffer(task=TASK.id, entry=SIGNED, output=made, invite=invite(made, WORKER))
        for members in ((), (member(OWNER, OTHER),)):
            verifier = Verifier(settings, verify)
            verifier.handle(MembersChanged(members=members), 0.0)
            assert verifier.handle(MessageArrived(sender=OWNER, message=offer), 0.0) == ()


class TestLedgerAndCoordinator:
    def test_nobody_can_claim_or_make_a_task_that_waits_for_its_inputs(self) -> None:
        ledger = Ledger(LedgerSettings(device=OWNER, owner_key=OWNER_KEY, limits=Limits()), verify)
        ledger.handle(GoalSubmitted(run=RUN, goal="why?", wall=1_000.0), 0.0)
        effects = ledger.handle(GraphOpened(run=RUN, graph=TaskGraph((planned("a"),))), 0.0)
        (publish,) = of(Publish, effects)
        task = publish.body
        for message in (
            Made(entry=output(task.id, WORKER, epoch=2**30)),
            Progress(task=task.id, epoch=2**30, state="claimed", reason=""),
            Progress(task=task.id, epoch=2**30, state="accepted", reason=""),
        ):
            assert ledger.handle(MessageArrived(sender=WORKER, message=message), 0.1) == ()
        ledger.handle(MembersChanged(members=(member(WORKER),)), 0.2)
        effects = ledger.handle(EntryArrived(entry=entry(OWNER, task)), 0.3)
        assert [send.to for send in of(Send, effects)] == [WORKER]
        shown = grants(task, WORKER)
        claim = Progress(task=task.id, epoch=1, state="claimed", reason="", grants=shown)
        told = ledger.handle(MessageArrived(sender=WORKER, message=claim), 0.4)
        assert [tell.happening.what for tell in of(Tell, told)] == ["claimed"]

    def test_a_run_whose_goal_never_came_is_a_fault_of_the_shell(self) -> None:
        settings = LedgerSettings(device=OWNER, owner_key=OWNER_KEY, limits=Limits())
        event = GraphOpened(run=RUN, graph=TaskGraph((planned("a"),)))
        with pytest.raises(ProtocolError, match="its goal never came"):
            Ledger(settings, verify).handle(event, 0.0)

    def test_progress_and_outputs_of_unknown_tasks_are_ignored(self) -> None:
        settings = LedgerSettings(device=OWNER, owner_key=OWNER_KEY, limits=Limits())
        ledger = Ledger(settings, verify)
        for message in (
            Made(entry=output(TASK.id, WORKER)),
            Progress(task=TASK.id, epoch=1, state="claimed", reason=""),
        ):
            assert ledger.handle(MessageArrived(sender=WORKER, message=message), 0.0) == ()

    def test_a_plan_is_opened_and_a_bad_one_ends_the_run_with_its_reason(self) -> None:
        good, bad = (
            TaskGraph((planned("a"),)),
            TaskGraph(tuple(planned(f"a-{n}") for n in range(3))),
        )
        for graph, opened in ((good, 1), (bad, 0)):
            coordinator = Coordinator(OWNER, Limits(max_tasks=2))
            begun = coordinator.handle(GoalSubmitted(run=RUN, goal="why?", wall=0.0), 0.0)
            assert of(PlanGoal, begun) == [PlanGoal(run=RUN, goal="why?")]
            effects = coordinator.handle(GraphPlanned(run=RUN, graph=graph), 1.0)
            assert len(of(OpenGraph, effects)) == opened
            assert len(of(FinishRun, effects)) == 1 - opened

    def test_a_planner_that_fails_ends_the_run(self) -> None:
        coordinator = Coordinator(OWNER, Limits())
        coordinator.handle(GoalSubmitted(run=RUN, goal="why?", wall=0.0), 0.0)
        effects = coordinator.handle(PlanningFailed(run=RUN, reason="no method fits"), 2.0)
        (finish,) = of(FinishRun, effects)
        assert finish.outcome.status is RunStatus.FAILED
        assert "no method fits" in finish.outcome.reason

    def test_a_run_whose_tasks_never_report_ends_all_the_same(self) -> None:
        coordinator = Coordinator(OWNER, Limits(timeout_seconds=5))
        coordinator.handle(GoalSubmitted(run=RUN, goal="why?", wall=0.0), 0.0)
        graph = TaskGraph((planned("a"), planned("b", (edge("a"),))))
        coordinator.handle(GraphPlanned(run=RUN, graph=graph), 1.0)
        assert of(CloseGraph, coordinator.handle(TimerFired(name=f"limit:{RUN}"), 5.0))
        (finish,) = of(FinishRun, coordinator.handle(TimerFired(name=f"closing:{RUN}"), 8.0))
        assert finish.outcome.status is RunStatus.TIMED_OUT
        assert {name for name, _ in finish.outcome.missing} == {"a", "b"}

    def test_runs_are_kept_apart(self) -> None:
        coordinator, other = Coordinator(OWNER, Limits()), RunId("cd" * 16)
        for run in (RUN, other):
            coordinator.handle(GoalSubmitted(run=run, goal="why?", wall=0.0), 0.0)
        effects = coordinator.handle(PlanningFailed(run=other, reason="no"), 1.0)
        assert [finish.outcome.run for finish in of(FinishRun, effects)] == [other]
        graph = TaskGraph((planned("a"),))
        assert of(OpenGraph, coordinator.handle(GraphPlanned(run=RUN, graph=graph), 1.0))
