"""The task graph: checked once, then asked what is ready.

Rules guarded here: names are unique, edges lead to known tasks, there is no cycle, and an edge's
counts are possible.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from pockethive.core.errors import GraphError
from pockethive.core.task import Edge, EdgeKind, PlannedTask

MAX_TASKS = 10_000
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


class Outcome(Enum):
    """How far a task has come, as its dependants see it."""

    OPEN = "open"
    COMMITTED = "committed"
    FAILED = "failed"


class Readiness(Enum):
    """What a task may do now."""

    WAITING = "waiting"
    READY = "ready"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class TaskGraph:
    """An acyclic graph of planned tasks, in an order where sources come first.

    Raises:
        GraphError: naming the tasks of a cycle, the unknown source, or the bad count.
    """

    tasks: tuple[PlannedTask, ...]
    by_name: Mapping[str, PlannedTask] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {task.name: task for task in self.tasks}
        object.__setattr__(self, "by_name", by_name)
        _check_names(self.tasks)
        for task in self.tasks:
            for edge in task.after:
                _check_edge(task.name, edge, by_name)
        object.__setattr__(self, "tasks", _in_order(self.tasks))

    @property
    def sinks(self) -> tuple[PlannedTask, ...]:
        """Tasks nobody waits for: their outputs are the run's result."""
        read = {name for task in self.tasks for name in task.sources}
        return tuple(task for task in self.tasks if task.name not in read)

    def readiness(self, name: str, outcomes: Mapping[str, Outcome], elapsed: float) -> Readiness:
        """Whether task `name` may start, `elapsed` seconds after the run began."""
        found = [edge_state(edge, outcomes, elapsed) for edge in self.by_name[name].after]
        if Readiness.IMPOSSIBLE in found:
            return Readiness.IMPOSSIBLE
        return Readiness.WAITING if Readiness.WAITING in found else Readiness.READY

    def next_deadline(self, outcomes: Mapping[str, Outcome], elapsed: float) -> float | None:
        """Seconds since the run's begin at which the next `arrived_by` edge falls due, if any."""
        due = [
            float(edge.seconds)
            for task in self.tasks
            for edge in task.after
            if edge.kind is EdgeKind.ARRIVED_BY
            and edge.seconds > elapsed
            and outcomes.get(task.name, Outcome.OPEN) is Outcome.OPEN
        ]
        return min(due, default=None)


def edge_state(edge: Edge, outcomes: Mapping[str, Outcome], elapsed: float) -> Readiness:
    """The state of one edge, given how its sources ended so far."""
    states = [outcomes.get(name, Outcome.OPEN) for name in edge.sources]
    arrived, open_ = states.count(Outcome.COMMITTED), states.count(Outcome.OPEN)
    needed = len(states) if edge.kind is EdgeKind.ALL else edge.count
    if arrived + open_ < needed:
        return Readiness.IMPOSSIBLE
    if edge.kind is EdgeKind.ARRIVED_BY:
        if open_ and elapsed < edge.seconds:
            return Readiness.WAITING
        if arrived >= needed:
            return Readiness.READY
        return Readiness.WAITING if open_ else Readiness.IMPOSSIBLE
    return Readiness.READY if arrived >= needed else Readiness.WAITING


def _check_names(tasks: Iterable[PlannedTask]) -> None:
    seen: set[str] = set()
    for task in tasks:
        if not _NAME.fullmatch(task.name):
            raise GraphError(
                f"{task.name!r} is not a task name",
                cure="use lower-case letters, digits, dot, dash and underscore, at most 64",
            )
        if task.name in seen:
            raise GraphError(f"two tasks are called {task.name!r}", cure="rename one of them")
        seen.add(task.name)
    if not seen:
        raise GraphError("a graph needs at least one task")
    if len(seen) > MAX_TASKS:
        raise GraphError(f"{len(seen)} tasks, at most {MAX_TASKS} are allowed in one run")


def _check_edge(name: str, edge: Edge, known: Mapping[str, PlannedTask]) -> None:
    for source in edge.sources:
        if source not in known:
            raise GraphError(f"task {name!r} waits for {source!r}, which does not exist")
    if not edge.sources:
        raise GraphError(f"task {name!r} has an edge without sources")
    if not 1 <= edge.count <= len(edge.sources):
        raise GraphError(f"task {name!r} wants {edge.count} of {len(edge.sources)} inputs")


def _in_order(tasks: tuple[PlannedTask, ...]) -> tuple[PlannedTask, ...]:
    """Kahn's algorithm (1962), stable in the given order; what is left over is a cycle."""
    missing = {task.name: set(task.sources) for task in tasks}
    by_source: dict[str, list[str]] = {}
    for task in tasks:
        for source in task.sources:
            by_source.setdefault(source, []).append(task.name)
    planned = {task.name: task for task in tasks}
    ready = [task.name for task in tasks if not missing[task.name]]
    ordered: list[PlannedTask] = []
    for name in ready:
        ordered.append(planned[name])
        for dependant in by_source.get(name, ()):
            missing[dependant].discard(name)
            if not missing[dependant]:
                ready.append(dependant)
    if len(ordered) < len(tasks):
        stuck = sorted(set(planned) - {task.name for task in ordered})
        raise GraphError(
            f"the steps form a cycle among {', '.join(stuck)}",
            cure="remove one of the `after` entries between them",
        )
    return tuple(ordered)
