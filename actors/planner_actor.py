"""The planner's actor: plans on its own thread, with the device's model."""

from dataclasses import dataclass
from typing import Any

from pockethive.actors.base import BaseActor
from pockethive.core.ports import Model
from pockethive.core.spec import Team
from pockethive.planners.context import PlanContext
from pockethive.planners.planner import make_plan


@dataclass(frozen=True, slots=True)
class PlanAsked:
    """Plan a goal over the devices that hold documents now. Answered by a Plan."""

    context: PlanContext


class PlannerActor(BaseActor):
    """Answers asks; what a planner raises on purpose is the answer, too."""

    def __init__(self, team: Team, model: Model | None) -> None:
        super().__init__()
        self._team, self._model = team, model

    def on_receive(self, message: Any) -> Any:
        """Plan."""
        match message:
            case PlanAsked(context=context):
                return make_plan(self._team, context, self._model)
            case _:
                return super().on_receive(message)
