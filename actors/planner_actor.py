"""The planner's actor: plans on its own thread, with the device's model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pockethive.actors.base import BaseActor
from pockethive.core.errors import PocketHiveError
from pockethive.core.ports import Model
from pockethive.core.spec import Team
from pockethive.core.task import RunId
from pockethive.planners.context import Plan, PlanContext
from pockethive.planners.planner import make_plan


@dataclass(frozen=True, slots=True)
class PlanAsked:
    """Plan a goal over the devices that hold documents now."""

    run: RunId
    context: PlanContext


class PlannerActor(BaseActor):
    """Answers by calling `planned` or `failed`, on its thread."""

    def __init__(
        self,
        team: Team,
        model: Model | None,
        planned: Callable[[RunId, Plan], None],
        failed: Callable[[RunId, str], None],
    ) -> None:
        super().__init__()
        self._team, self._model = team, model
        self._planned, self._failed = planned, failed

    def on_receive(self, message: Any) -> None:
        """Plan. A crash is reported before it ends the actor, so that the run ends too."""
        match message:
            case PlanAsked(run=run, context=context):
                try:
                    plan = make_plan(self._team, context, self._model)
                except PocketHiveError as error:
                    self._failed(run, str(error))
                except Exception as error:
                    self._failed(run, f"the planner crashed: {error!r}")
                    raise
                else:
                    self._planned(run, plan)
            case _:
                super().on_receive(message)
