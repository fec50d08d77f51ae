"""The methods planner: a hierarchical task network whose choices a small model makes.

At each goal the model ranks the methods that achieve its kind, by calibrated likelihood over
few-shot forms made of the methods' own examples; the best one whose slots can be filled from the
goal's text is taken, and its sub-goals are planned the same way (Erol, Hendler and Nau 1994, "HTN
planning: complexity and expressivity", AAAI-94).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from pockethive.core.errors import GraphError
from pockethive.core.graph import TaskGraph
from pockethive.core.ports import ChoiceForm, Model, Ranking
from pockethive.core.spec import Method, Subgoal, Team
from pockethive.core.task import Edge
from pockethive.planners.context import Decision, Plan, PlanContext
from pockethive.planners.expand import (
    Expansion,
    Setting,
    check_size,
    edges,
    expand_step,
    fill,
    in_order,
)
from pockethive.planners.slots import fill_slots

MAX_DEPTH = 4


def plan(team: Team, context: PlanContext, model: Model) -> Plan:
    """The graph of the methods chosen for a goal. Call it where the model may be used.

    Raises:
        GraphError: no applicable method, sub-goals deeper than MAX_DEPTH, or too many tasks.
        DocumentError: a step runs on every device with documents and there is none.
        ModelError: the model failed.
    """
    planning = _Planning(team, context, model)
    done = planning.achieve(_Goal(kind=team.planner.root, text=context.goal))
    check_size(done.tasks, team)
    return Plan(
        graph=TaskGraph(tuple(done.tasks)),
        trace=tuple(planning.trace),
        prompt_tokens=planning.prompt_tokens,
        generated_tokens=planning.generated_tokens,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Goal:
    """A compound goal somewhere in the hierarchy."""

    kind: str
    text: str
    prefix: str = ""
    entry: tuple[Edge, ...] = ()
    depth: int = 1


class _Planning:
    """One planning, from the root down."""

    def __init__(self, team: Team, context: PlanContext, model: Model) -> None:
        self._team, self._context, self._model = team, context, model
        self.trace: list[Decision] = []
        self.prompt_tokens = self.generated_tokens = 0

    def achieve(self, goal: _Goal) -> Expansion:
        """The tasks of a goal."""
        if goal.depth > MAX_DEPTH:
            raise GraphError(
                f"sub-goals of kind {goal.kind!r} nest deeper than {MAX_DEPTH}",
                cure="let a sub-goal achieve a simpler kind of goal",
            )
        method, slots = self._decide(goal)
        setting = Setting(
            team=self._team,
            devices=self._context.document_devices,
            places={**slots, "goal": goal.text},
            prefix=goal.prefix,
            entry=goal.entry,
        )
        steps = {step.name: step for step in method.steps}
        subgoals = {one.name: one for one in method.subgoals}
        done = Expansion()
        for name in in_order({n: one.after for n, one in {**steps, **subgoals}.items()}):
            if name in steps:
                expand_step(steps[name], setting, done)
            else:
                self._add_subgoal(subgoals[name], setting, goal.depth, done)
        return done

    def _add_subgoal(self, one: Subgoal, setting: Setting, depth: int, done: Expansion) -> None:
        inner = self.achieve(
            _Goal(
                kind=one.achieves,
                text=fill(one.goal, setting.places),
                prefix=f"{setting.prefix}{one.name}.",
                entry=edges(one.after, done, None) or setting.entry,
                depth=depth + 1,
            )
        )
        read = {source for task in inner.tasks for source in task.sources}
        done.tasks.extend(inner.tasks)
        done.ends[one.name] = tuple(task.name for task in inner.tasks if task.name not in read)

    def _decide(self, goal: _Goal) -> tuple[Method, dict[str, str]]:
        methods = [one for one in self._team.planner.methods if one.achieves == goal.kind]
        if not methods:
            raise GraphError(f"no method achieves {goal.kind!r}")
        ranking = self._rank(methods, goal.text)
        ranked = [methods[index] for index in ranking.order]
        told = Decision(
            goal=goal.text,
            kind=goal.kind,
            options=tuple(one.name for one in ranked),
            scores=tuple(ranking.scores[index] for index in ranking.order),
            chosen="",
            margin=ranking.margin,
        )
        for place, method in enumerate(ranked):
            filled = fill_slots(method.slots, goal.text, self._model)
            self.prompt_tokens += filled.prompt_tokens
            self.generated_tokens += filled.generated_tokens
            if filled.places is not None:
                passed = told.options[:place]
                self._tell(replace(told, passed_over=passed), method, filled.places)
                return method, dict(filled.places)
        return self._fall_back(told, methods)

    def _rank(self, methods: Sequence[Method], goal: str) -> Ranking:
        if len(methods) == 1:
            return Ranking((0.0,))
        forms = [with_examples(form, methods) for form in self._team.planner.forms]
        ranking = self._model.choose(forms, {"goal": goal}, [one.summary for one in methods])
        self.prompt_tokens += ranking.prompt_tokens
        return ranking

    def _fall_back(
        self, told: Decision, methods: Sequence[Method]
    ) -> tuple[Method, dict[str, str]]:
        for method in methods:
            if method.name == self._team.planner.fallback:
                places = {slot.name: told.goal for slot in method.slots}
                self._tell(replace(told, passed_over=told.options, fallback=True), method, places)
                return method, places
        raise GraphError(
            f"none of the methods {', '.join(told.options)} fits the goal {told.goal!r}",
            cure="name a `fallback` under `planner`, or say the goal differently",
        )

    def _tell(self, told: Decision, method: Method, slots: object) -> None:
        assert isinstance(slots, dict)
        self.trace.append(replace(told, chosen=method.name, slots=tuple(slots.items())))


def with_examples(form: ChoiceForm, methods: Sequence[Method]) -> ChoiceForm:
    """`form` with the methods' examples as worked shots, one method after the other in turns.

    Turns, so that no method's examples stand nearest to the question as a block: small models
    favour what they read last.
    """
    turns = zip_longest(*(one.examples for one in methods))
    shots = [
        fill(form.template, {"goal": example.goal}) + form.lead + method.summary + form.end
        for turn in turns
        for method, example in zip(methods, turn, strict=True)
        if example is not None
    ]
    return replace(form, shots=form.shots + "".join(shots))


