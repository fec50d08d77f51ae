"""The template planner: a team's steps, repeated over the devices that hold documents."""

from pockethive.core.graph import TaskGraph
from pockethive.core.spec import Team
from pockethive.planners.context import PlanContext
from pockethive.planners.expand import Expansion, Setting, check_size, expand_step, in_order


def plan(team: Team, context: PlanContext) -> TaskGraph:
    """The graph of `team`'s steps for a goal.

    Raises:
        DocumentError: a step runs on every device with documents and there is none.
        GraphError: a cycle, an impossible count, or more tasks than the team allows.
    """
    setting = Setting(team=team, devices=context.document_devices, places={"goal": context.goal})
    steps = {step.name: step for step in team.planner.steps}
    done = Expansion()
    for name in in_order({name: step.after for name, step in steps.items()}):
        expand_step(steps[name], setting, done)
    check_size(done.tasks, team)
    return TaskGraph(tuple(done.tasks))
