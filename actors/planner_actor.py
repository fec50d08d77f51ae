"""The planner's actor: plans on its own thread, with the device's model."""

import logging
from dataclasses import dataclass
from typing import Any

from pockethive.actors.base import BaseActor
from pockethive.core.errors import PocketHiveError
from pockethive.core.ports import Model
from pockethive.core.spec import Team
from pockethive.planners.context import PlanContext

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlanAsked:
    """Plan a goal over the devices that hold documents now. Answered by a Plan."""

    context: PlanContext


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Load the model and let it read the methods' examples, before the first goal comes."""


class PlannerActor(BaseActor):
    """Answers asks; what a planner raises on purpose is the answer, too."""

    def __init__(self, team: Team, model: Model | None) -> None:
        super().__init__()
        self._team, self._model = team, model

    def on_receive(self, message: Any) -> Any:
        """Plan."""
        match message:
            case PlanAsked(context=context):
                from pockethive.planners.planner import make_plan  # where goals are pursued only

                return make_plan(self._team, context, self._model)
            case WarmUp():
                return self._warm_up()
            case _:
                return super().on_receive(message)

    def _warm_up(self) -> None:
        if self._model is None:
            return
        from pockethive.planners.methods import warm

        try:
            warm(self._team, self._model)
        except PocketHiveError as error:  # the first goal will say the same to somebody who asks
            _log.warning("the planner's model could not be warmed up: %s", error)
