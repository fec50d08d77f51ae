"""The methods planner: a hierarchical task network whose choices a small model makes.

At each goal the model ranks the methods that achieve its kind by how likely each one's examples
make the goal (the noisy channel of Min et al. 2022, arXiv 2108.04106: a small model says better how
likely a request is among its like than which label it deserves; labels need calibration, this does
not). The best method whose slots can be filled from the goal's text is taken; a row of questions
(questions.py) has its method without being ranked. Sub-goals are planned the same way (Erol,
Hendler and Nau 1994, "HTN planning: complexity and expressivity").
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from pockethive.core.errors import GraphError
from pockethive.core.graph import TaskGraph
from pockethive.core.ports import Model, Ranking
from pockethive.core.spec import Method, MethodForm, Subgoal, Team
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
from pockethive.planners.questions import questions
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


def warm(team: Team, model: Model) -> None:
    """Let `model` read all examples ahead, so that a goal costs its own words only."""
    for form in team.planner.forms:
        for method in team.planner.methods:
            if method.examples:
                model.remember(channel(form, method, "")[0])


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
        waits = {one.name: one.after for one in method.steps}
        waits |= {one.name: one.after for one in method.subgoals}
        for name in in_order(waits):
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
        every = [one for one in self._team.planner.methods if one.achieves == goal.kind]
        if not every:
            raise GraphError(f"no method achieves {goal.kind!r}")
        if (taken := self._of_questions(goal, every)) is not None:
            return taken
        methods = [one for one in every if one.examples or not one.of_questions]
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
            filled = fill_slots(method, goal.text, self._model)
            self.prompt_tokens += filled.prompt_tokens
            self.generated_tokens += filled.generated_tokens
            if filled.places is not None:
                passed = told.options[:place]
                self._tell(replace(told, passed_over=passed), method, filled.places)
                return method, dict(filled.places)
        return self._fall_back(told, methods)

    def _of_questions(
        self, goal: _Goal, methods: Sequence[Method]
    ) -> tuple[Method, dict[str, str]] | None:
        """The method for just as many questions as the goal holds, if it holds several."""
        held = questions(goal.text)
        for method in methods if len(held) > 1 else ():
            if method.of_questions and len(method.slots) == len(held):
                places = {slot.name: one for slot, one in zip(method.slots, held, strict=True)}
                told = Decision(
                    goal=goal.text,
                    kind=goal.kind,
                    options=(method.name,),
                    scores=(0.0,),
                    chosen=method.name,
                    margin=inf,
                )
                self._tell(told, method, places)
                return method, places
        return None

    def _rank(self, methods: Sequence[Method], goal: str) -> Ranking:
        if len(methods) == 1:
            return Ranking((0.0,))
        spec = self._team.planner
        scores = [float(spec.lead) if one.name == spec.fallback else 0.0 for one in methods]
        tokens = 0
        for form in spec.forms:
            for index, method in enumerate(methods):
                prompt, line = channel(form, method, goal)
                scores[index] += self._model.score(prompt, [line])[0] / len(spec.forms)
                tokens += self._model.count(prompt) + self._model.count(line)
        self.prompt_tokens += tokens
        return Ranking(tuple(scores), tokens)

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


def channel(form: MethodForm, method: Method, goal: str) -> tuple[str, str]:
    """The prompt made of a method's examples, and the asked goal as its next line.

    The goal is flattened to one line. White space before the goal belongs to what is scored.
    """
    before, after = form.line.split("{goal}")
    shown = "".join(f"{before}{one.goal}{after}" for one in method.examples)
    lead = before.rstrip()
    prompt = fill(form.header, {"summary": method.summary}) + shown + lead
    return prompt, f"{before[len(lead) :]}{' '.join(goal.split())}{after}"
