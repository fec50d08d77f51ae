"""The crew: a device's agents, its verifier and its planner, as the hands reach them.

Orders go out by `tell`; reports come back as the core's events. Which agent does what follows from
the task's skill alone.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pockethive.actors.agent import (
    AgentActor,
    CalledOff,
    ChecksDone,
    DoChecks,
    DoWork,
    Duty,
    Report,
    WorkDone,
    WorkFailed,
)
from pockethive.actors.base import BaseActor, Ref
from pockethive.actors.planner_actor import PlanAsked, PlannerActor
from pockethive.actors.skill import Checker, Skill, Tools, Work
from pockethive.actors.supervisor import ChildSpec, Supervisor
from pockethive.actors.workbench import Workbench
from pockethive.core import events
from pockethive.core.effects import RunChecks, RunSkill
from pockethive.core.entry import Member, Output
from pockethive.core.errors import PocketHiveError
from pockethive.core.events import Event, GraphPlanned, PlanningFailed, SkillDone, SkillFailed
from pockethive.core.report import Happening
from pockethive.core.spec import Team
from pockethive.core.task import RunId, TaskId
from pockethive.planners.context import Plan, PlanContext

_log = logging.getLogger(__name__)

VERIFIER = "verifier"
PLANNER = "planner"
MAX_REASON = 200  # characters of a reason that travel


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewPlan:
    """Whom to hire. `skills` and `checkers` by name; `team` only where goals are planned."""

    skills: Mapping[str, Skill]
    checkers: Mapping[str, Checker]
    team: Team | None
    tools: Callable[[], Tools]


class AgentCrew:
    """Starts agents under `supervisor` and carries orders and reports. Safe on any thread."""

    def __init__(
        self,
        plan: CrewPlan,
        supervisor: Supervisor,
        post: Callable[[Event], None],
        members: Callable[[], tuple[Member, ...]],
        told: Callable[[Happening], None],
    ) -> None:
        self._plan, self._supervisor = plan, supervisor
        self._post, self._members, self._told = post, members, told
        self._orders: dict[str, RunSkill | RunChecks] = {}
        self._called_off = CalledOff()
        self._lock = threading.Lock()
        self._workbench: Workbench | None = None
        self._numbers = 0
        self.planned_tokens: dict[RunId, int] = {}

    def start(self, workbench: Workbench) -> None:
        """Hire everybody. Raises ActorFailure."""
        self._workbench = workbench
        for name, skill in self._plan.skills.items():
            self._hire(name, lambda skill=skill: self._agent(skill))  # type: ignore[misc]  # bound early
        if self._plan.checkers:
            self._hire(VERIFIER, lambda: self._agent(None))
        if self._plan.team is not None:
            self._hire(PLANNER, self._planner)

    def do(self, effect: RunSkill, work: Work) -> None:
        """Order an output. Answered by SkillDone or SkillFailed."""
        token = self._token(effect)
        self._order(effect.task.skill, DoWork(token=token, work=work), token)

    def check(self, effect: RunChecks, work: Work, output: dict[str, Any]) -> None:
        """Order a judgement. Answered by ChecksDone or ChecksFailed."""
        token = self._token(effect)
        names = tuple(check.checker for check in effect.task.verification.checks)
        order = DoChecks(token=token, work=work, value=output["value"], checkers=names)
        self._order(VERIFIER, order, token)

    def stop(self, task: TaskId, epoch: int) -> None:
        """Call off what is being made for a task at an epoch."""
        with self._lock:
            tokens = [
                token
                for token, effect in self._orders.items()
                if isinstance(effect, RunSkill) and effect.task.id == task and effect.epoch == epoch
            ]
            for token in tokens:
                del self._orders[token]
        for token in tokens:
            self._called_off.add(token)

    def plan(self, run: RunId, goal: str) -> None:
        """Order a plan over the devices that hold documents now."""
        holders = sorted(m.device for m in self._members() if m.documents and m.works)
        try:
            context = PlanContext(goal=goal, document_devices=tuple(holders))
            self._supervisor.ref(PLANNER).tell(PlanAsked(run, context))
        except PocketHiveError as error:
            self._post(PlanningFailed(run=run, reason=str(error)))

    def _hire(self, name: str, factory: Callable[[], BaseActor]) -> Ref:
        return self._supervisor.start(ChildSpec(name=name, factory=factory))

    def _agent(self, skill: Skill | None) -> AgentActor:
        checkers = self._plan.checkers if skill is None else {}
        return AgentActor(
            Duty(
                skill=skill,
                checkers=checkers,
                tools=self._plan.tools(),
                report=self._reported,
                called_off=self._called_off,
            )
        )

    def _planner(self) -> PlannerActor:
        assert self._plan.team is not None
        return PlannerActor(
            self._plan.team,
            self._plan.tools().model,
            self._planned,
            lambda run, reason: self._post(PlanningFailed(run=run, reason=reason)),
        )

    def _planned(self, run: RunId, plan: Plan) -> None:
        self.planned_tokens[run] = plan.prompt_tokens
        for decision in plan.trace:
            if len(decision.options) > 1:
                self._told(Happening(what="chose", run=run, detail=_choice(decision)))
        self._post(GraphPlanned(run=run, graph=plan.graph))

    def _token(self, effect: RunSkill | RunChecks) -> str:
        with self._lock:
            self._numbers += 1
            token = str(self._numbers)
            self._orders[token] = effect
        return token

    def _order(self, agent: str, order: DoWork | DoChecks, token: str) -> None:
        try:
            self._supervisor.ref(agent).tell(order)
        except PocketHiveError as error:
            self._reported(WorkFailed(token=token, reason=str(error)))

    def _reported(self, report: Report) -> None:
        with self._lock:
            effect = self._orders.pop(report.token, None)
        if effect is None:
            return
        try:
            event = self._event(effect, report)
        except PocketHiveError as error:
            event = self._event(effect, WorkFailed(token=report.token, reason=str(error)))
        self._post(event)

    def _event(self, effect: RunSkill | RunChecks, report: Report) -> Event:
        task = effect.task
        if isinstance(effect, RunSkill):
            if isinstance(report, WorkDone):
                assert self._workbench is not None
                made = self._workbench.keep(report.product, task.label)
                return SkillDone(
                    task=task.id,
                    epoch=effect.epoch,
                    output=made.sha256,
                    size=made.size,
                    model=self._model_of(task.needs_model),
                    inputs=tuple((name, sha) for name, sha, _ in effect.inputs),
                )
            reason = report.reason if isinstance(report, WorkFailed) else "an odd report"
            return SkillFailed(task=task.id, epoch=effect.epoch, reason=reason[:MAX_REASON])
        assert isinstance(effect.output.body, Output)
        output = effect.output.body.output
        if isinstance(report, ChecksDone):
            name, finding = report.findings[-1] if report.findings else ("", None)
            reason = f"{name}: {finding.reason}" if finding else "nothing to check"
            return events.ChecksDone(
                task=task.id,
                output=output,
                accept=report.accept,
                checks=tuple(name for name, _ in report.findings),
                reason=reason[:MAX_REASON],
            )
        reason = report.reason if isinstance(report, WorkFailed) else "an odd report"
        return events.ChecksFailed(task=task.id, output=output, reason=reason[:MAX_REASON])

    def _model_of(self, needed: bool) -> str:
        model = self._plan.tools().model
        return model.model_class.sha256 if needed and model is not None else ""


def _choice(decision: Any) -> str:
    best, second = decision.options[:2]
    return f"{decision.chosen} rather than {second if decision.chosen == best else best}"
