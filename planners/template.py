"""The template planner: a team's steps, over the devices that hold documents, and in rounds.

A round's first steps wait for the last ones of the round before: what those made is their input.
"""

from pockethive.core.graph import TaskGraph
from pockethive.core.spec import Step, Team
from pockethive.core.task import Edge, EdgeKind
from pockethive.planners.context import PlanContext
from pockethive.planners.expand import Expansion, Setting, check_size, expand_step, in_order


def plan(team: Team, context: PlanContext) -> TaskGraph:
    """The graph of `team`'s steps for a goal.

    Raises:
        DocumentError: a step runs on every device with documents and there is none.
        GraphError: a cycle, an impossible count, or more tasks than the team allows.
    """
    steps = {step.name: step for step in team.planner.steps}
    order = [steps[name] for name in in_order({name: step.after for name, step in steps.items()})]
    done = Expansion()
    entry: tuple[Edge, ...] = ()
    for number in range(1, team.planner.rounds + 1):
        places = {"goal": context.goal, "round": str(number)}
        prefix = f"round-{number}." if team.planner.rounds > 1 else ""
        setting = Setting(
            team=team, devices=context.document_devices, places=places, prefix=prefix, entry=entry
        )
        one = Expansion()
        for step in order:
            expand_step(step, setting, one)
        done.tasks.extend(one.tasks)
        check_size(done.tasks, team)
        entry = (Edge(kind=EdgeKind.ALL, sources=_lasts(order, one)),)
    return TaskGraph(tuple(done.tasks))


def _lasts(steps: list[Step], done: Expansion) -> tuple[str, ...]:
    """The tasks of steps that no other step waits for."""
    waited = {name for step in steps for wait in step.after for name in wait.steps}
    return tuple(task for step in steps if step.name not in waited for task in done.ends[step.name])
