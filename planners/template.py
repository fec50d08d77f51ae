"""The template planner: a team's steps, over the devices that hold documents, and in rounds.

A round's first steps wait for the last ones of the round before, and so does what waits for
`before`: what those made is their input.
"""

from dataclasses import replace

from pockethive.core.graph import TaskGraph
from pockethive.core.spec import BEFORE, Step, Team, Wait
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
    within = {
        name: step.after if BEFORE in steps else _within(step.after) for name, step in steps.items()
    }
    order = [steps[name] for name in in_order(within)]
    done = Expansion()
    lasts: tuple[str, ...] = ()
    for number in range(1, team.planner.rounds + 1):
        places = {"goal": context.goal, "round": str(number)}
        prefix = f"round-{number}." if team.planner.rounds > 1 else ""
        entry = (Edge(kind=EdgeKind.ALL, sources=lasts),) if lasts else ()
        setting = Setting(
            team=team, devices=context.document_devices, places=places, prefix=prefix, entry=entry
        )
        one = Expansion(ends={BEFORE: lasts} if lasts else {})
        for step in order:
            expand_step(step if lasts else replace(step, after=within[step.name]), setting, one)
        done.tasks.extend(one.tasks)
        check_size(done.tasks, team)
        lasts = _lasts(order, one)
    return TaskGraph(tuple(done.tasks))


def _within(waits: tuple[Wait, ...]) -> tuple[Wait, ...]:
    """What a step waits for in its own round."""
    kept = (replace(wait, steps=tuple(s for s in wait.steps if s != BEFORE)) for wait in waits)
    return tuple(wait for wait in kept if wait.steps)


def _lasts(steps: list[Step], done: Expansion) -> tuple[str, ...]:
    """The tasks of steps that no other step waits for."""
    waited = {name for step in steps for wait in step.after for name in wait.steps}
    return tuple(task for step in steps if step.name not in waited for task in done.ends[step.name])
