"""The crew: a device's agents, its verifier and its planner, as the hands reach them.

Orders go out by `tell`; reports come back as the core's events. Which agent does what follows from
the task's skill alone.
"""

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

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
from pockethive.actors.basket import Basket, Fetch, Small
from pockethive.actors.bridge import ask_async
from pockethive.actors.orders import failed
from pockethive.actors.planner_actor import PlanAsked, PlannerActor, WarmUp
from pockethive.actors.shelf import SMALL, Shelf
from pockethive.actors.skill import Checker, Product, Skill, Tools, Work, canonical
from pockethive.actors.supervisor import ChildSpec
from pockethive.actors.workbench import Made, Workbench, packed, tokens_of
from pockethive.core import events
from pockethive.core.ballot import NONCE, votes
from pockethive.core.canonical import to_text
from pockethive.core.effects import RunChecks, RunReplica, RunSkill, WorkHere
from pockethive.core.entry import Member, Output
from pockethive.core.errors import PocketHiveError, SkillFailure
from pockethive.core.events import Event, ReplicaDone, SkillDone
from pockethive.core.spec import Team
from pockethive.core.task import TaskId
from pockethive.dht.memory import Memory
from pockethive.planners.context import Plan, PlanContext

_log = logging.getLogger(__name__)

VERIFIER = "verifier"
PLANNER = "planner"
LEDGER = "ledger"
PLAN_SECONDS = 120.0
MAX_REASON = 200  # characters of a reason that travel
ANSWERS = 4_096  # in votes, that are remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewPlan:
    """Whom to hire. `skills` and `checkers` by name; `team` only where goals are planned.

    `tools`: by the name of the agent that they are for. `randbytes`: where the nonces of pledges
    come from.
    """

    skills: Mapping[str, Skill]
    checkers: Mapping[str, Checker]
    team: Team | None
    tools: Callable[[str], Tools]
    randbytes: Callable[[int], bytes] = secrets.token_bytes


class Machines(Protocol):
    """Who drives the machines. Any thread; never blocks."""

    def post(self, event: Event, to: str | None = None) -> None:
        """Hand over an event."""

    def post_from(self, fetch: Fetch, to: str) -> bool:
        """Have events fetched once it is their turn, all for one machine; False: they never are."""

    def drive(self, fetch: Fetch, to: str) -> bool:
        """Have them fetched on this thread, now; False: somebody else has the machines."""


Order = RunSkill | RunReplica | RunChecks | WorkHere


class Staff(Protocol):
    """Who runs actors: a `Supervisor` with its threads, or a virtual loop."""

    def start(self, spec: ChildSpec) -> Ref:
        """Start a child. Raises ActorFailure."""

    def ref(self, name: str) -> Ref:
        """The address of a child. Raises ActorFailure for unknown names."""


class AgentCrew:
    """Starts agents with `staff` and carries orders and reports. Safe on any thread."""

    def __init__(
        self,
        plan: CrewPlan,
        staff: Staff,
        machines: Machines,
        members: Callable[[], tuple[Member, ...]],
    ) -> None:
        self._plan, self._staff = plan, staff
        self._machines, self._post, self._members = machines, machines.post, members
        self._refs: dict[str, Ref] = {}  # of whom was hired
        self._orders: dict[str, tuple[str, Order]] = {}
        # An answer in a vote is given again as it was, whoever asks this device for it.
        self._answers: Memory[Made] = Memory(ANSWERS)
        self._called_off = CalledOff()
        self._lock = threading.Lock()
        self._workbench: Workbench | None = None
        self._basket: Basket | None = None
        self._numbers = 0

    def start(self, workbench: Workbench, shelf: Shelf) -> None:
        """Hire everybody. Raises ActorFailure."""
        self._workbench = workbench
        self._basket = Basket(shelf, self._fetched, self._told)
        for name, skill in self._plan.skills.items():
            self._hire(name, lambda skill=skill: self._agent(skill))  # type: ignore[misc]  # bound early
        if self._plan.checkers:
            self._hire(VERIFIER, lambda: self._agent(None))
        if self._plan.team is not None:
            self._hire(PLANNER, self._planner)

    def warm_up(self) -> None:
        """Have the planner, where there is one, prepare for its first goal."""
        if self._plan.team is not None:
            self._staff.ref(PLANNER).tell(WarmUp())

    def do(self, effect: RunSkill | RunReplica, work: Work) -> None:
        """Order an output. Answered by SkillDone or SkillFailed; for a replica, by its own."""
        known = self._answers.get(_answer_key(effect)) if votes(effect.task) else None
        if known is not None:
            self._post(self._done(effect, known), None)
            return
        agent = effect.task.skill
        token = self._token(agent, effect)
        self._order(agent, DoWork(token=token, work=work), token)

    def work_here(self, effect: WorkHere) -> None:
        """Order an output of what is on this device. Answered to the ledger."""
        agent = effect.planned.skill
        token = self._token(agent, effect)
        assert self._workbench is not None
        gather = partial(self._workbench.here, effect)
        self._order(agent, DoWork(token=token, work=gather), token)

    def check(self, effect: RunChecks, work: Work, output: dict[str, Any]) -> None:
        """Order a judgement. Answered by ChecksDone or ChecksFailed."""
        token = self._token(VERIFIER, effect)
        names = tuple(check.checker for check in effect.task.verification.checks)
        order = DoChecks(token=token, work=work, value=output["value"], checkers=names)
        self._order(VERIFIER, order, token)

    def stop(self, task: TaskId, epoch: int) -> None:
        """Call off what is being made for a task at an epoch."""
        with self._lock:
            tokens = [
                token
                for token, (_, effect) in self._orders.items()
                if isinstance(effect, RunSkill | WorkHere)
                and _task_of(effect) == task
                and effect.epoch == epoch
            ]
            for token in tokens:
                del self._orders[token]
        for token in tokens:
            self._called_off.add(token)

    async def plan(self, goal: str) -> Plan:
        """Have a goal planned over the devices that hold documents now.

        Raises:
            BadInput, GraphError, ModelError: what the planner raises on purpose.
            ActorFailure: it crashed or took too long.
        """
        holders = sorted(m.device for m in self._members() if m.documents and m.works)
        context = PlanContext(goal=goal, document_devices=tuple(holders))
        plan: Plan = await ask_async(
            self._staff.ref(PLANNER), PlanAsked(context), timeout=PLAN_SECONDS
        )
        return plan

    def gone(self, agent: str, error: BaseException) -> None:
        """An agent crashed too often to be started again: its open orders have failed."""
        with self._lock:
            tokens = [token for token, (name, _) in self._orders.items() if name == agent]
        for token in tokens:
            self._reported(WorkFailed(token=token, reason=f"{agent} crashed: {error}"))

    def _hire(self, name: str, factory: Callable[[], BaseActor]) -> None:
        self._refs[name] = self._staff.start(ChildSpec(name=name, factory=factory))

    def _agent(self, skill: Skill | None) -> AgentActor:
        checkers = self._plan.checkers if skill is None else {}
        return AgentActor(
            Duty(
                skill=skill,
                checkers=checkers,
                tools=self._plan.tools(VERIFIER if skill is None else skill.name),
                report=self._reported,
                called_off=self._called_off,
            )
        )

    def _planner(self) -> PlannerActor:
        assert self._plan.team is not None
        return PlannerActor(self._plan.team, self._plan.tools(PLANNER).model)

    def _token(self, agent: str, effect: Order) -> str:
        with self._lock:
            self._numbers += 1
            token = str(self._numbers)
            self._orders[token] = (agent, effect)
        return token

    def _order(self, agent: str, order: DoWork | DoChecks, token: str) -> None:
        try:
            (self._refs.get(agent) or self._staff.ref(agent)).tell(order)
        except PocketHiveError as error:
            self._reported(WorkFailed(token=token, reason=str(error)))

    def _reported(self, report: Report) -> None:
        with self._lock:
            order = self._orders.pop(report.token, None)
        if order is None:
            return
        _, effect = order
        try:
            if isinstance(effect, WorkHere) and isinstance(report, WorkDone):
                self._made_here(effect, report.product)
                return
            event = self._event(effect, report)
        except PocketHiveError as error:
            event = self._event(effect, WorkFailed(token=report.token, reason=str(error)))
        self._post(event, LEDGER if isinstance(effect, WorkHere) else None)

    def _made_here(self, order: WorkHere, product: Product) -> None:
        """What is small is kept by whoever drives the machines, with what else comes meanwhile."""
        assert self._workbench is not None
        assert self._basket is not None
        data, tokens = packed(product), tokens_of(product)
        if len(data) <= SMALL:
            idle = self._refs[order.planned.skill].waiting == 0
            self._basket.add(Small(order, data, tokens), idle=idle)
        else:
            made = self._workbench.put(data, tokens, order.planned.label)
            self._post(self._done(order, made), LEDGER)

    def _fetched(self, fetch: Fetch, idle: bool) -> bool:
        """An agent that would only wait drives the machines itself: nobody has to be woken."""
        driven = idle and self._machines.drive(fetch, LEDGER)
        return driven or self._machines.post_from(fetch, LEDGER)

    def _told(self, made: Small, name: str) -> Event:
        return self._done(made.order, Made(sha256=name, size=len(made.data), tokens=made.tokens))

    def _event(self, effect: Order, report: Report) -> Event:
        if isinstance(effect, RunChecks):
            return _judged(effect, report)
        if isinstance(report, WorkDone) and not isinstance(effect, WorkHere):
            return self._done(effect, self._keep(effect, report.product))
        reason = report.reason if isinstance(report, WorkFailed) else "an odd report"
        return failed(effect, reason[:MAX_REASON])

    def _keep(self, effect: RunSkill | RunReplica, product: Product) -> Made:
        assert self._workbench is not None
        task = effect.task
        if not votes(task):
            return self._workbench.keep(product, task.label)
        try:
            value = canonical(self._plan.skills[task.skill], product.value)
        except Exception as error:
            raise SkillFailure(f"its answer has no canonical form: {error!r}") from error
        count = product.prompt_tokens + product.generated_tokens
        made = replace(self._workbench.seal(value, task.label), tokens=count)
        self._answers.put(_answer_key(effect), made)
        return made

    def _done(self, effect: RunSkill | RunReplica | WorkHere, made: Made) -> Event:
        voted = not isinstance(effect, WorkHere) and votes(effect.task)
        nonce = to_text(self._plan.randbytes(NONCE)) if voted else ""
        if isinstance(effect, RunReplica):
            return ReplicaDone(task=effect.task.id, output=made.sha256, nonce=nonce)
        what = effect.task if isinstance(effect, RunSkill) else effect.planned
        return SkillDone(
            task=_task_of(effect),
            epoch=effect.epoch,
            output=made.sha256,
            size=made.size,
            model=self._model_of(what.needs_model),
            inputs=_read_by(effect),
            nonce=nonce,
            tokens=made.tokens,
        )

    def _model_of(self, needed: bool) -> str:
        model = self._plan.tools("").model if needed else None
        return "" if model is None else model.model_class.id


def _task_of(effect: RunSkill | WorkHere) -> TaskId:
    return effect.task.id if isinstance(effect, RunSkill) else effect.task


def _read_by(effect: RunSkill | WorkHere) -> tuple[tuple[str, str], ...]:
    """What the ledger does not know of its own order."""
    if isinstance(effect, WorkHere):
        return ()
    return tuple((name, sha) for name, sha, _ in effect.inputs)


def _judged(effect: RunChecks, report: Report) -> Event:
    task = effect.task
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


def _answer_key(effect: RunSkill | RunReplica) -> bytes:
    """What an answer follows from: the task, and the inputs by hash."""
    read = " ".join(f"{name} {sha}" for name, sha, _ in effect.inputs)
    return f"{effect.task.id} {read}".encode()
