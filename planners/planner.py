"""The way into planning: a team and a goal in, a plan out."""

from pockethive.core.errors import ModelError
from pockethive.core.ports import Model
from pockethive.core.spec import PlannerKind, Team
from pockethive.planners import free, methods, template
from pockethive.planners.context import Plan, PlanContext


def make_plan(team: Team, context: PlanContext, model: Model | None) -> Plan:
    """Plan with whatever planner the team names; a template needs no model.

    Raises:
        DocumentError, GraphError: see the planners.
        ModelError: the team plans with a model and there is none, or it may not plan freely.
    """
    if team.planner.kind is PlannerKind.TEMPLATE:
        return Plan(graph=template.plan(team, context))
    if model is None:
        raise ModelError(
            "this team plans with a model and none is loaded here",
            cure="run `pockethive models get` or use a team with `steps`",
        )
    if team.planner.kind is PlannerKind.FREE:
        return free.plan(team, context, model)
    return methods.plan(team, context, model)
