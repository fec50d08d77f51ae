"""A task graph as values of canonical form, and back: written once a run, when it was planned.

Guards: what is read is checked as a planner's graph is, so a damaged one is refused.
"""

from typing import Any

from pockethive.core.canonical import decode_object, encode
from pockethive.core.errors import BadEncoding, GraphError
from pockethive.core.fields import MAX_TIME, NAME, Fields
from pockethive.core.graph import MAX_TASKS, TaskGraph
from pockethive.core.labels import Label
from pockethive.core.task import Deadline, PlannedTask
from pockethive.core.task_codec import edge_list, take_edge, take_verification, verification_fields

MAX_PARAMS = 256 * 1024  # bytes of a task's parameters


def graph_list(graph: TaskGraph) -> list[dict[str, Any]]:
    """The tasks of a graph in its order."""
    return [_planned(task) for task in graph.tasks]


def take_graph(fields: Fields, name: str = "graph") -> TaskGraph:
    """The graph behind `graph_list`. Raises BadEncoding."""
    tasks = tuple(_take_planned(item) for item in fields.items(name, MAX_TASKS))
    try:
        graph = TaskGraph(tasks)
    except GraphError as error:
        raise BadEncoding(f"graph: {error}") from error
    if graph.tasks != tasks:
        raise BadEncoding("graph: its tasks are out of order")
    return graph


def _planned(task: PlannedTask) -> dict[str, Any]:
    return {
        "name": task.name,
        "role": task.role,
        "skill": task.skill,
        "params": encode(dict(task.params)).decode(),  # a text: nested as deep as it likes
        "after": [edge_list(edge) for edge in task.after],
        "place": task.place,
        "label": task.label.value,
        **verification_fields(task.verification),
        "model": task.needs_model,
        "turn": task.turn,
        **{
            name: seconds
            for name, seconds in (("soft", task.deadline.soft), ("hard", task.deadline.hard))
            if seconds
        },
    }


def _take_planned(item: object) -> PlannedTask:
    fields = Fields(item, "planned task")
    place = fields.take("place")
    task = PlannedTask(
        name=fields.text("name", NAME, 1),
        role=fields.text("role", NAME),
        skill=fields.text("skill", NAME),
        params=decode_object(fields.text("params", MAX_PARAMS).encode(), MAX_PARAMS),
        after=tuple(take_edge(edge) for edge in fields.items("after", 8)),
        place=None if place is None else Fields({"place": place}, "planned task").device("place"),
        label=fields.one_of("label", Label),
        verification=take_verification(fields),
        needs_model=fields.flag("model"),
        deadline=Deadline(fields.maybe("soft", MAX_TIME), fields.maybe("hard", MAX_TIME)),
        turn=fields.whole("turn", 1),
    )
    fields.done()
    return task
