"""Agents: actors that work for a role, or judge as verifiers, on a thread of their own.

Rule guarded here: every order is answered by exactly one report, unless it was called off. A
deliberate error is a report; any other is a report and then a crash, so that the task is offered
again and the supervisor starts a fresh agent.

A role's `concurrency` is the number of workers of its `ChildSpec`: they share one mailbox, so that
orders are taken by whoever is free, in the order they came.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pockethive.actors.base import BaseActor
from pockethive.actors.skill import Checker, Finding, Product, Skill, Tools, Work
from pockethive.core.errors import PocketHiveError, SkillFailure

CALLED_OFF_KEPT = 4_096


Gather = Callable[[], Work]
"""Makes the work of what is on this device; raises PocketHiveError. Called by the agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoWork:
    """Order: make an output. `token` names the order in the report; use each only once."""

    token: str
    work: Work | Gather


@dataclass(frozen=True, slots=True, kw_only=True)
class DoChecks:
    """Order: examine `value`, the output of `work`, with the checkers of these names."""

    token: str
    work: Work
    value: Any
    checkers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkDone:
    """Report: the output."""

    token: str
    product: Product


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksDone:
    """Report: what the checkers found, in order; the last is the first that rejected, if any."""

    token: str
    findings: tuple[tuple[str, Finding], ...]

    @property
    def accept(self) -> bool:
        """True when there was a checker and every one accepted."""
        return bool(self.findings) and all(finding.accept for _, finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkFailed:
    """Report: an order of either kind ended without a result."""

    token: str
    reason: str


Report: TypeAlias = WorkDone | ChecksDone | WorkFailed


class CalledOff:
    """Tokens of orders nobody wants any more; the newest are remembered. Safe on any thread.

    Shared between whoever gives orders and the agents, because an agent at work reads no mail.
    """

    def __init__(self, kept: int = CALLED_OFF_KEPT) -> None:
        self._lock = threading.Lock()
        self._kept = kept
        self._tokens: OrderedDict[str, None] = OrderedDict()

    def add(self, token: str) -> None:
        """Call an order off: it is not begun with, or its result is dropped."""
        with self._lock:
            self._tokens[token] = None
            while len(self._tokens) > self._kept:
                self._tokens.popitem(last=False)

    def __contains__(self, token: str) -> bool:
        with self._lock:
            return token in self._tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What an agent can do and to whom it reports.

    `report` is called on the agent's thread and must not block. `skill` is None for a pure
    verifier.
    """

    skill: Skill | None
    checkers: Mapping[str, Checker]
    tools: Tools
    report: Callable[[Report], None]
    called_off: CalledOff


class AgentActor(BaseActor):
    """Takes orders (`DoWork`, `DoChecks`) one at a time."""

    def __init__(self, duty: Duty) -> None:
        super().__init__()
        self._duty = duty

    def on_receive(self, message: Any) -> Any:
        """Carry an order out and report; returns nothing."""
        match message:
            case DoWork(token=token, work=work):
                self._carry_out(token, lambda: self._work(token, work))
            case DoChecks(token=token):
                self._carry_out(token, lambda: self._check(message))
            case _:
                return super().on_receive(message)
        return None

    def _carry_out(self, token: str, order: Callable[[], Report]) -> None:
        if token in self._duty.called_off:
            return
        try:
            report = order()
        except PocketHiveError as error:
            report = WorkFailed(token=token, reason=str(error))
        except BaseException as error:
            self._report(WorkFailed(token=token, reason=f"crashed: {type(error).__name__}"))
            raise
        self._report(report)

    def _report(self, report: Report) -> None:
        if report.token not in self._duty.called_off:
            self._duty.report(report)

    def _work(self, token: str, order: Work | Gather) -> Report:
        skill, work = self._duty.skill, order if isinstance(order, Work) else order()
        if skill is None or skill.name != work.skill:
            raise SkillFailure(f"this agent has no skill {work.skill!r}", where=self.name)
        return WorkDone(token=token, product=skill.run(work, self._duty.tools))

    def _check(self, order: DoChecks) -> Report:
        findings: list[tuple[str, Finding]] = []
        for name in order.checkers:
            checker = self._duty.checkers.get(name)
            if checker is None:
                raise SkillFailure(f"this agent has no checker {name!r}", where=self.name)
            finding = checker.check(order.work, order.value, self._duty.tools)
            findings.append((name, finding))
            if not finding.accept:
                break
        return ChecksDone(token=order.token, findings=tuple(findings))
