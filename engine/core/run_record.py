"""The record of a run: what another device of the same owner needs to go on with it.

A blob with the label `people`, in the form of an output. Guards: what a task's label keeps on its
device is not in it (of such a task its name and place in the graph alone); what is read is bounded
and checked as a planner's graph is.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from pockethive.core.canonical import decode_object, encode
from pockethive.core.errors import BadEncoding
from pockethive.core.fields import MAX_TIME, NAME, VERSION, Fields
from pockethive.core.graph import MAX_TASKS, TaskGraph
from pockethive.core.graph_codec import graph_list, take_graph
from pockethive.core.labels import Label
from pockethive.core.spec import Limits
from pockethive.core.task import RunId

MAX_RECORD: Final = 2 * 2**20
_MAX_GOAL: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a run is. `began`: unix seconds. `withheld`: tasks that cannot be gone on with, because
    what they are about stays on the device that began the run."""

    run: RunId
    goal: str
    began: int
    limits: Limits
    graph: TaskGraph
    withheld: frozenset[str]

    def encode(self) -> bytes:
        """Canonical bytes. Raises BadEncoding: over `MAX_RECORD`."""
        limits = self.limits
        value = {
            "run": self.run,
            "goal": self.goal,
            "began": self.began,
            "timeout": limits.timeout_seconds,
            "lease": limits.lease_seconds,
            "attempts": limits.attempts,
            "claims": limits.claims,
            "max_tasks": limits.max_tasks,
            "graph": graph_list(self.graph),
            "withheld": sorted(self.withheld),
        }
        data = encode({"v": VERSION, "value": value, "tokens": {"prompt": 0, "generated": 0}})
        if len(data) > MAX_RECORD:
            raise BadEncoding(f"a run's record of {len(data)} bytes, at most {MAX_RECORD} are kept")
        return data

    @classmethod
    def decode(cls, data: bytes) -> "RunRecord":
        """The record behind `encode`. Raises BadEncoding."""
        blob = decode_object(data, MAX_RECORD)
        if blob.get("v") != VERSION:
            raise BadEncoding("a run's record of another version")
        return cls.of(blob.get("value"))

    @classmethod
    def of(cls, value: Any) -> "RunRecord":
        """The record in an output's value. Raises BadEncoding."""
        fields = Fields(value, "a run's record")
        record = cls(
            run=fields.run("run"),
            goal=fields.text("goal", _MAX_GOAL),
            began=fields.whole("began", 0, MAX_TIME),
            limits=Limits(
                timeout_seconds=fields.whole("timeout", 0, MAX_TIME),
                lease_seconds=fields.whole("lease", 1),
                attempts=fields.whole("attempts", 1),
                claims=fields.whole("claims", 1),
                max_tasks=fields.whole("max_tasks", 1),
            ),
            graph=take_graph(fields),
            withheld=frozenset(fields.texts("withheld", MAX_TASKS, NAME)),
        )
        fields.done()
        if record.withheld - {task.name for task in record.graph.tasks}:
            raise BadEncoding("a run's record: it withholds tasks that are not in its graph")
        return record


def record_of(run: RunId, goal: str, began: int, limits: Limits, graph: TaskGraph) -> RunRecord:
    """The record of a run, without what a label keeps on this device."""
    withheld = frozenset(task.name for task in graph.tasks if task.label is Label.DEVICE)
    tasks = tuple(
        replace(task, params={}) if task.name in withheld else task for task in graph.tasks
    )
    return RunRecord(
        run=run, goal=goal, began=began, limits=limits, graph=TaskGraph(tasks), withheld=withheld
    )
