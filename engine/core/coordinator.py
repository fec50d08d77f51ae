"""The coordinator: one run from its goal to its outcome.

Rule guarded here: every run ends, at the latest a little after its time limit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pockethive.core.effects import (
    CancelTimer,
    CloseGraph,
    Effect,
    FinishRun,
    OpenGraph,
    PlanGoal,
    SetTimer,
    Tell,
)
from pockethive.core.errors import GraphError
from pockethive.core.events import (
    BudgetSpent,
    CancelRequested,
    Event,
    GoalSubmitted,
    GraphPlanned,
    PlanningFailed,
    Restarted,
    RunAdopted,
    RunMoved,
    TaskEnded,
    TaskReopened,
    TimerFired,
)
from pockethive.core.graph import TaskGraph
from pockethive.core.lifecycle import Status
from pockethive.core.report import Happening, Outcome, RunStatus, TaskReport
from pockethive.core.spec import Limits
from pockethive.core.task import DeviceId, RunId
from pockethive.core.verification import check_plan

CLOSING_SECONDS = 3.0  # how long closing a run's tasks may take before it ends without them

Effects = Iterator[Effect]


@dataclass(slots=True, kw_only=True)
class _Run:
    id: RunId
    goal: str
    began: float
    planned: float | None = None
    graph: TaskGraph | None = None
    reports: dict[str, TaskReport] = field(default_factory=dict)
    ending: tuple[RunStatus, str] | None = None
    spent: str = ""  # the budget that is used up, with figures


class Coordinator:
    """Runs of one device. `handle` is the only way in."""

    def __init__(self, device: DeviceId, limits: Limits | None = None) -> None:
        self._device, self._limits = device, limits or Limits()
        self._runs: dict[RunId, _Run] = {}

    def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
        """Take one event; return what is to be done."""
        return tuple(self._handle(event, now))

    def _handle(self, event: Event, now: float) -> Effects:
        match event:
            case GoalSubmitted():
                yield from self._submitted(event, now)
            case RunAdopted():
                yield from self._adopted(event, now)
            case BudgetSpent(run=name, reason=reason) if name in self._runs:
                self._runs[name].spent = reason
            case (
                GraphPlanned()
                | PlanningFailed()
                | CancelRequested()
                | TaskEnded()
                | TaskReopened()
                | RunMoved()
            ):
                run = self._runs.get(event.run)
                if run is not None:
                    yield from self._happened(run, event, now)
            case Restarted():
                for run in self._runs.values():
                    yield from self._go_on(run, now)
            case TimerFired(name=name):
                yield from self._fired(name, now)

    def _submitted(self, event: GoalSubmitted, now: float) -> Effects:
        if event.run in self._runs:
            return
        self._runs[event.run] = _Run(id=event.run, goal=event.goal, began=now)
        yield SetTimer(name=f"limit:{event.run}", at=now + self._limits.timeout_seconds)
        yield PlanGoal(run=event.run, goal=event.goal)

    def _adopted(self, event: RunAdopted, now: float) -> Effects:
        """A run that another device began and planned: the ledger opens it from what stands."""
        if event.run in self._runs:
            return
        run = _Run(id=event.run, goal=event.goal, began=now, planned=now, graph=event.graph)
        self._runs[event.run] = run
        yield from self._go_on(run, now)

    def _happened(
        self,
        run: _Run,
        event: GraphPlanned
        | PlanningFailed
        | CancelRequested
        | TaskEnded
        | TaskReopened
        | RunMoved,
        now: float,
    ) -> Effects:
        match event:
            case GraphPlanned(graph=graph):
                if run.graph is None and run.ending is None:
                    yield from self._planned(run, graph, now)
            case PlanningFailed(reason=reason):
                run.ending = run.ending or (RunStatus.FAILED, f"no plan: {reason}")
                yield from self._finish(run, now)
            case CancelRequested(reason=reason):
                yield from self._end(run, RunStatus.CANCELLED, reason, now)
            case RunMoved(reason=reason):
                run.ending = (RunStatus.MOVED, reason)
                yield from self._finish(run, now)
            case TaskReopened(task=task):
                run.reports.pop(task, None)
            case TaskEnded(report=report):
                run.reports[report.name] = report
                if run.graph is not None and len(run.reports) == len(run.graph.tasks):
                    yield from self._finish(run, now)

    def _go_on(self, run: _Run, now: float) -> Effects:
        """After a restart: whatever this run was waiting for may never have been asked for."""
        yield Tell(happening=Happening(what="resumed", run=run.id, device=self._device))
        yield SetTimer(name=f"limit:{run.id}", at=run.began + self._limits.timeout_seconds)
        if run.ending is not None:
            yield SetTimer(name=f"closing:{run.id}", at=now + CLOSING_SECONDS)
            yield CloseGraph(run=run.id, detail=run.ending[1])
        elif run.graph is None:
            yield PlanGoal(run=run.id, goal=run.goal)

    def _planned(self, run: _Run, graph: TaskGraph, now: float) -> Effects:
        run.planned = now
        fault = self._fault(graph)
        if fault:
            run.ending = (RunStatus.FAILED, fault)
            yield from self._finish(run, now)
            return
        run.graph = graph
        told = Happening(
            what="planned",
            run=run.id,
            device=self._device,
            detail=f"{len(graph.tasks)} tasks",
            data={
                "tasks": [
                    {"name": t.name, "role": t.role, "after": list(t.sources), "place": t.place}
                    for t in graph.tasks
                ]
            },
        )
        yield Tell(happening=told)
        yield OpenGraph(run=run.id, graph=graph)

    def _fault(self, graph: TaskGraph) -> str:
        if len(graph.tasks) > self._limits.max_tasks:
            return f"the plan has {len(graph.tasks)} tasks, at most {self._limits.max_tasks} may be"
        try:
            check_plan(graph)
        except GraphError as error:
            return str(error)
        return ""

    def _fired(self, name: str, now: float) -> Effects:
        purpose, _, key = name.partition(":")
        run = self._runs.get(RunId(key))
        if run is None:
            return
        if purpose == "limit":
            reason = f"the time limit of {self._limits.timeout_seconds} s passed"
            yield from self._end(run, RunStatus.TIMED_OUT, reason, now)
        elif purpose == "closing":
            yield from self._finish(run, now)

    def _end(self, run: _Run, status: RunStatus, reason: str, now: float) -> Effects:
        """Close what is open and wait a little for its reports."""
        if run.ending is not None:
            return
        run.ending = (status, reason)
        if run.graph is None:
            yield from self._finish(run, now)
            return
        yield SetTimer(name=f"closing:{run.id}", at=now + CLOSING_SECONDS)
        yield CloseGraph(run=run.id, detail=reason)

    def _finish(self, run: _Run, now: float) -> Effects:
        self._runs.pop(run.id, None)
        for purpose in ("limit", "closing"):
            yield CancelTimer(name=f"{purpose}:{run.id}")
        outcome = _outcome(run, now)
        told = Happening(
            what="finished", run=run.id, device=self._device, detail=outcome.status.value
        )
        yield Tell(happening=told)
        yield FinishRun(outcome=outcome)


def _outcome(run: _Run, now: float) -> Outcome:
    tasks = run.graph.tasks if run.graph is not None else ()
    sinks = run.graph.sinks if run.graph is not None else ()
    missing = []
    for task in tasks:
        report = run.reports.get(task.name)
        if report is None:
            missing.append((task.name, "it was still open when the run ended"))
        elif report.status != Status.COMMITTED.value:
            missing.append((task.name, report.reason or report.status))
    spent = (RunStatus.PARTIAL, run.spent) if run.spent and missing else None
    status, reason = run.ending or spent or _status(missing, {task.name for task in sinks})
    closed = _asked(run)
    asked = [task.name for task in tasks if task.name in closed]
    if asked and status is RunStatus.TIMED_OUT:
        reason += f" while its owner was asked whether he accepts {', '.join(asked)}"
    planned = now if run.planned is None else run.planned
    return Outcome(
        run=run.id,
        status=status,
        reason=reason,
        tasks=tuple(run.reports[task.name] for task in tasks if task.name in run.reports),
        sinks=tuple(task.name for task in sinks),
        missing=tuple(missing),
        plan_seconds=planned - run.began,
        seconds=now - run.began,
    )


def _asked(run: _Run) -> set[str]:
    """Tasks that were closed while their owner was asked about their outputs."""
    return {report.name for report in run.reports.values() if report.asked}


def _status(missing: list[tuple[str, str]], sinks: set[str]) -> tuple[RunStatus, str]:
    if not missing:
        return RunStatus.COMPLETED, ""
    lacking = [f"{name}: {why}" for name, why in missing]
    if sinks & {name for name, _ in missing}:
        return RunStatus.FAILED, "; ".join(lacking)[:500]
    return RunStatus.PARTIAL, f"missing {', '.join(name for name, _ in missing)}"
