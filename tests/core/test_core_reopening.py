"""What is taken back: draws, reports and commits of a device that was caught, step by step."""

from hashlib import sha256
from itertools import count

from pockethive.core.canonical import to_text
from pockethive.core.coordinator import Coordinator
from pockethive.core.credibility import Credit, Standing, drawn
from pockethive.core.effects import AskWitness, FinishRun, Publish, SignEntry, TellCoordinator
from pockethive.core.entry import Commit, Waiver
from pockethive.core.events import (
    CreditsRead,
    EntryArrived,
    GoalSubmitted,
    GraphPlanned,
    TaskEnded,
    TaskReopened,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.graph import TaskGraph
from pockethive.core.lease import Ack, AskCommit, ack_bytes
from pockethive.core.ledger import Ledger
from pockethive.core.message import Made, Progress
from pockethive.core.report import RunStatus, TaskReport
from pockethive.core.task import Task, task_id
from tests.core.core_play import (
    DEVICES,
    RUN,
    entry,
    grants,
    make_task,
    output,
    planned,
    sha,
    sign,
    verdict,
)
from tests.core.ledger_play import claim, of, opened, said
from tests.core.test_core_credit import ADAPTIVE

OWNER, WORKER = DEVICES[:2]
GRAPH = TaskGraph((planned("a", verification=ADAPTIVE), planned("b", verification=ADAPTIVE)))


def secret(*, a: bool, b: bool) -> bytes:
    """One by which a device with ten in a row is believed at epoch 1 of these tasks, or not."""
    draws = [task_id(RUN, name, sha256(planned(name).spec()).hexdigest()) for name in "ab"]
    numbers = (b"%d" % number for number in count())
    return next(s for s in numbers if [drawn(s, task, 1) < 0.9 for task in draws] == [a, b])


def trusting(ledger: Ledger) -> None:
    credit = Credit(device=WORKER, model="", standing=Standing(10, 10, 0))
    ledger.handle(CreditsRead(credits=(credit,)), 0.2)


def committed(ledger: Ledger, task: Task, waiver: Waiver, now: float) -> Commit:
    """The waiver stands, the witnesses ack: what the ledger publishes."""
    effects = ledger.handle(EntryArrived(entry=entry(OWNER, waiver)), now)
    held = Progress(task=task.id, epoch=1, state="holding", reason="")
    for device in DEVICES[:4]:  # whoever was asked to
        effects += ledger.handle(said(device, held), now)
    published: list[Publish] = []
    for ask in of(AskWitness, effects):
        assert isinstance(ask.request, AskCommit)
        signed = sign(ask.witness, ack_bytes(task.id, 1, 1, waiver.output))
        ack = Ack(
            task=task.id, generation=1, epoch=1, output=waiver.output, signature=to_text(signed)
        )
        event = WitnessAnswered(ask=ask.ask, witness=ask.witness, answer=ack)
        published += of(Publish, ledger.handle(event, now))
    (commit,) = (each.body for each in published if isinstance(each.body, Commit))
    return commit


def test_a_task_that_was_made_twice_is_not_drawn_for_again() -> None:
    ledger, (task, _) = opened(graph=GRAPH, secret=secret(a=True, b=True))
    trusting(ledger)
    message = Made(entry=output(task.id, WORKER), grants=grants(task, WORKER))
    effects = ledger.handle(said(WORKER, message), 0.4)
    assert any(isinstance(each.body, Waiver) for each in of(Publish, effects))

    ledger, (task, _) = opened(graph=GRAPH, secret=secret(a=True, b=True))
    made = output(task.id, OWNER)
    ledger.handle(said(OWNER, Made(entry=made, grants=grants(task, OWNER))), 0.4)
    ledger.handle(said(OWNER, claim(task, 1, "failed", "gone")), 0.5)
    trusting(ledger)
    for epoch in range(2, 40):  # some draw would be in its favour
        made = output(task.id, WORKER, epoch, f"try {epoch}")
        message = Made(entry=made, grants=grants(task, WORKER, epoch))
        effects = ledger.handle(said(WORKER, message), 0.6)
        assert not any(isinstance(each.body, Waiver) for each in of(Publish, effects))
        trusting(ledger)


def test_a_commit_that_comes_to_stand_after_its_maker_was_caught_is_not_reported() -> None:
    ledger, (a, b) = opened(graph=GRAPH, secret=secret(a=True, b=False))
    trusting(ledger)
    made = Made(entry=output(a.id, WORKER), grants=grants(a, WORKER))
    (waiver,) = (
        each.body
        for each in of(Publish, ledger.handle(said(WORKER, made), 0.4))
        if isinstance(each.body, Waiver)
    )
    commit = committed(ledger, a, waiver, 0.5)  # published, but it does not stand yet

    lie = output(b.id, WORKER, text="lie")
    effects = ledger.handle(said(WORKER, Made(entry=lie, grants=grants(b, WORKER))), 0.6)
    reopened: list[TellCoordinator] = []
    now = 0.7
    for _ in range(2):
        asked = [each.body.verifier for each in of(SignEntry, effects)]
        for verifier in asked:
            no = verdict(lie, verifier, accept=False)
            effects = ledger.handle(said(verifier, Made(entry=no)), now)
            reopened += of(TellCoordinator, effects)
        now += 1.0
        effects += ledger.handle(TimerFired(name="tick"), now)
    assert [each.event for each in reopened] == [TaskReopened(run=RUN, task="a")]

    effects = ledger.handle(EntryArrived(entry=entry(OWNER, commit)), now)
    assert not of(TellCoordinator, effects)  # it stays in the DHT, and counts for nothing


def test_a_run_goes_on_until_a_task_that_is_done_anew_has_ended_again() -> None:
    coordinator = Coordinator(OWNER)
    coordinator.handle(GoalSubmitted(run=RUN, goal="why?", wall=1.0), 0.0)
    coordinator.handle(GraphPlanned(run=RUN, graph=GRAPH), 0.1)

    def ended(name: str, result: str) -> bool:
        event = TaskEnded(run=RUN, report=report(name, result))
        effects = coordinator.handle(event, 0.2)
        finished = of(FinishRun, effects)
        if finished:
            outcome = finished[0].outcome
            assert outcome.status is RunStatus.COMPLETED
            assert [task.output for task in outcome.tasks] == [sha("right"), sha("b")]
        return bool(finished)

    assert not ended("a", "wrong")
    coordinator.handle(TaskReopened(run=RUN, task="a"), 0.2)
    coordinator.handle(TaskReopened(run=RUN, task="b"), 0.2)  # never reported
    assert not ended("b", "b")
    assert ended("a", "right")


def report(name: str, result: str) -> TaskReport:
    task = make_task(name)
    return TaskReport(
        name=name,
        id=task.id,
        task=task,
        status="committed",
        worker=WORKER,
        epoch=1,
        attempts=1,
        output=sha(result),
        holders=(WORKER,),
        on_credit=True,
        reason="",
        receipts=(),
        story=(),
    )
