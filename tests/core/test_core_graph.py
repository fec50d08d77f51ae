"""Task graphs: what is refused, in which order tasks come, when a task is ready."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import GraphError
from pockethive.core.graph import Outcome, Readiness, TaskGraph, edge_state
from pockethive.core.task import EdgeKind, PlannedTask
from tests.core.core_play import edge, planned

DONE, OPEN, FAILED = Outcome.COMMITTED, Outcome.OPEN, Outcome.FAILED


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        ((), "at least one"),
        ((planned("a"), planned("a")), "two tasks"),
        ((planned("A b"),), "not a task name"),
        ((planned("a", (edge("b"),)),), "does not exist"),
        ((planned("a"), planned("b", (edge(),))), "without sources"),
        ((planned("a"), planned("b", (edge("a", count=2),))), "wants 2 of 1"),
        ((planned("a", (edge("a"),)),), "cycle among a"),
        (
            (
                planned("x"),
                planned("a", (edge("c"),)),
                planned("b", (edge("a"),)),
                planned("c", (edge("b"),)),
            ),
            "cycle among a, b, c",
        ),
    ],
)
def test_what_is_no_task_graph_is_refused_with_its_reason(
    tasks: tuple[PlannedTask, ...], told: str
) -> None:
    with pytest.raises(GraphError, match=told):
        TaskGraph(tasks)


@pytest.mark.parametrize(
    ("kind", "count", "outcomes", "elapsed", "readiness"),
    [
        (EdgeKind.ALL, 1, (DONE, DONE), 0, Readiness.READY),
        (EdgeKind.ALL, 1, (DONE, OPEN), 0, Readiness.WAITING),
        (EdgeKind.ALL, 1, (DONE, FAILED), 0, Readiness.IMPOSSIBLE),
        (EdgeKind.AT_LEAST, 1, (DONE, OPEN), 0, Readiness.READY),
        (EdgeKind.AT_LEAST, 2, (DONE, OPEN), 0, Readiness.WAITING),
        (EdgeKind.AT_LEAST, 2, (OPEN, FAILED), 0, Readiness.IMPOSSIBLE),
        (EdgeKind.ARRIVED_BY, 1, (DONE, OPEN), 9, Readiness.WAITING),
        (EdgeKind.ARRIVED_BY, 1, (DONE, OPEN), 10, Readiness.READY),
        (EdgeKind.ARRIVED_BY, 1, (OPEN, OPEN), 10, Readiness.WAITING),
        (EdgeKind.ARRIVED_BY, 1, (DONE, FAILED), 0, Readiness.READY),
        (EdgeKind.ARRIVED_BY, 1, (FAILED, FAILED), 0, Readiness.IMPOSSIBLE),
        (EdgeKind.ARRIVED_BY, 2, (DONE, FAILED), 99, Readiness.IMPOSSIBLE),
    ],
)
def test_an_edge_is_satisfied_as_its_kind_says(
    kind: EdgeKind,
    count: int,
    outcomes: tuple[Outcome, Outcome],
    elapsed: float,
    readiness: Readiness,
) -> None:
    one = edge("a", "b", kind=kind, count=count, seconds=10)
    assert edge_state(one, dict(zip("ab", outcomes, strict=True)), elapsed) is readiness


@given(st.permutations(["a", "b", "c", "d", "e"]))
def test_sources_come_first_whatever_the_order_given(order: list[str]) -> None:
    after = {"b": ("a",), "c": ("a", "b"), "d": ("b",), "e": ("c", "d")}
    graph = TaskGraph(tuple(planned(n, (edge(*after[n]),) if n in after else ()) for n in order))
    place = {task.name: i for i, task in enumerate(graph.tasks)}
    assert all(place[source] < place[n] for n, sources in after.items() for source in sources)
    assert [task.name for task in graph.sinks] == ["e"]


def test_the_next_deadline_is_that_of_the_tasks_still_open() -> None:
    graph = TaskGraph(
        (
            planned("a"),
            planned("b", (edge("a", kind=EdgeKind.ARRIVED_BY, seconds=30),)),
            planned("c", (edge("a", kind=EdgeKind.ARRIVED_BY, seconds=20),)),
        )
    )
    assert graph.next_deadline({}, 0) == 20
    assert graph.next_deadline({"c": DONE}, 0) == 30
    assert graph.next_deadline({}, 30) is None
