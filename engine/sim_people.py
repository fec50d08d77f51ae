"""What simulated agents do in a scenario: one skill and one checker, honest or not.

Rule guarded here: the simulator knows the truth. What is right follows from the task's name alone,
whether a device cheats at a task from the seed; nothing of it is known to the machines.
"""

from dataclasses import dataclass, field
from typing import Any

from pockethive.actors.skill import Finding, Product, Tools, Work
from pockethive.configs.scenario import Group, Runs
from pockethive.core.labels import Label
from pockethive.core.polling import jitter
from pockethive.core.spec import Limits, PlannerKind, PlannerSpec, Role, Step, Team, Wait
from pockethive.core.task import Check, Deadline, EdgeKind, Policy, TaskId, Verification

SKILL, CHECKER, ROLE = "make", "judge", "maker"
WIDEST_FAN = 15  # sources that one signed task can name
_TOGETHER = "all of us"


def right(task: str) -> dict[str, str]:
    """What a task of this name has to give."""
    return {"made": task}


@dataclass(slots=True, kw_only=True)
class Person:
    """How a device's agents behave. `lied`: tasks at which they cheated."""

    group: Group
    name: str
    seed: int
    lied: set[TaskId] = field(default_factory=set)

    def cheats(self, task: str) -> bool:
        """Whether it cheats at a task; those who collude cheat at the same ones."""
        who = _TOGETHER if self.group.colludes else self.name
        return jitter(f"cheats {self.seed} {who} {task}", 0) < self.group.cheats


class Making:
    """The skill."""

    name = SKILL
    needs_model = False

    def __init__(self, person: Person) -> None:
        self._person = person

    def run(self, work: Work, tools: Tools) -> Product:  # noqa: ARG002 - what a skill is
        """What is right, or not."""
        person = self._person
        if not person.cheats(work.name):
            return Product(value=right(work.name))
        person.lied.add(TaskId(work.task))
        who = _TOGETHER if person.group.colludes else person.name
        return Product(value={**right(work.name), "wrong": who})


class Judging:
    """The checker."""

    name = CHECKER
    needs_model = False

    def __init__(self, person: Person) -> None:
        self._person = person

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:  # noqa: ARG002
        """Accept what is right, what friends made, or whatever comes."""
        group = self._person.group
        if value == right(work.name) or group.lazy:
            return Finding(accept=True, reason="")
        friends = group.colludes and value == {**right(work.name), "wrong": _TOGETHER}
        return Finding(accept=friends, reason="" if friends else "it is wrong")


def team_of(runs: Runs) -> Team:
    """The team that plans such a run: the template planner makes the graph of its steps."""
    checks = (Check(Policy.CHECK, CHECKER),)
    role = Role(
        name=ROLE,
        skill=SKILL,
        description="",
        verification=Verification(checks=checks, verdicts=runs.verdicts),
        needs_model=False,
        deadline=Deadline(soft=runs.soft),
    )
    return Team(
        name="simulated",
        description="",
        model=None,
        roles=(role,),
        planner=PlannerSpec(kind=PlannerKind.TEMPLATE, steps=tuple(_steps(runs))),
        limits=Limits(
            timeout_seconds=runs.timeout,
            lease_seconds=runs.lease,
            attempts=runs.attempts,
            max_tasks=runs.tasks,
        ),
        label=Label.HIVE,
    )


def _steps(runs: Runs) -> list[Step]:
    names = [f"task-{number}" for number in range(1, runs.tasks + 1)]
    return [
        Step(name=name, role=ROLE, after=_after(runs.shape, names, place))
        for place, name in enumerate(names)
    ]


def _after(shape: str, names: list[str], place: int) -> tuple[Wait, ...]:
    """What the step at a place waits for: nothing, the one before, or a bundle that it joins."""
    if shape == "chain" and place:
        return (Wait(kind=EdgeKind.ALL, steps=(names[place - 1],)),)
    bundle = WIDEST_FAN + 1
    if shape == "fan" and (place % bundle == WIDEST_FAN or place == len(names) - 1):
        sources = tuple(names[place - place % bundle : place])
        return (Wait(kind=EdgeKind.ALL, steps=sources),) if sources else ()
    return ()
