"""The methods planner: how a choice becomes a graph, told with a scripted model."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pockethive.configs.loader import load_team
from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.core.errors import GraphError, ModelError
from pockethive.core.graph import TaskGraph
from pockethive.core.spec import (
    Example,
    Method,
    MethodForm,
    PlannerKind,
    PlannerSpec,
    Role,
    Slot,
    Step,
    Subgoal,
    Team,
    Wait,
)
from pockethive.core.task import DeviceId, EdgeKind, Verification
from pockethive.inference.testing import ScriptedModel
from pockethive.planners.context import PlanContext
from pockethive.planners.methods import channel, plan
from pockethive.planners.planner import make_plan
from pockethive.planners.slots import copy_span, find_span, is_sensible

DATA = Path(__file__).parent.parent / "data"
WORDS = Vocabulary(
    skills={name: SkillInfo(needs_model=True) for name in ("search", "rank", "synthesize")},
    checkers=frozenset({"quotation", "fit", "ranking", "citations"}),
)
DEVICES = (DeviceId("a"), DeviceId("b"))
RESEARCH = load_team("research", WORDS)
FORM = MethodForm(name="list", line="- {goal}\n")
# A goal of each kind in the very words of an example: the scripted model counts words.
ASKED = {
    "lookup": "can I freeze bread?",
    "compare": "rye bread versus white bread",
    "collect": "all the recipes for bread, please",
    "evidence": "Is there evidence for the rumour that the bread was stale?",
    "parts": "How long does the bread rise, and how hot must the oven be?",
    "overview": "what is important to know about baking bread?",
}


class Writer(ScriptedModel):
    """Answers a slot by what the examples say of the same goal, as a good model would."""

    def _scripted(self, prompt: str) -> str | None:
        *before, last = prompt.rsplit("\n\n", 1)
        known = before[0] if before else ""
        at = known.find(last)
        return known[at + len(last) :].split("\n")[0] if at >= 0 else None


def shape(graph: TaskGraph) -> tuple[tuple[str, int, int], ...]:
    """The graph without names: each task's skill, how many it reads and how many read it."""
    readers = Counter(source for task in graph.tasks for source in task.sources)
    found = [(task.skill, len(task.sources), readers[task.name]) for task in graph.tasks]
    return tuple(sorted(found))


def made(goal: str) -> tuple[TaskGraph, str]:
    got = plan(RESEARCH, PlanContext(goal=goal, document_devices=DEVICES), Writer())
    assert not got.trace[0].fallback
    return got.graph, got.trace[0].chosen


def test_the_research_team_draws_six_different_shapes() -> None:
    found = {method: made(goal) for method, goal in ASKED.items()}
    assert {method: chosen for method, (_, chosen) in found.items()} == {m: m for m in ASKED}
    assert len({shape(graph) for graph, _ in found.values()}) == 6


def test_subgoals_prefix_their_tasks_and_end_in_what_is_read() -> None:
    graph, _ = made(ASKED["compare"])
    assert [task.name for task in graph.tasks] == [
        "one.research-1",
        "one.research-2",
        "other.research-1",
        "other.research-2",
        "one.rank",
        "other.rank",
        "answer",
    ]
    (edge,) = graph.by_name["answer"].after
    assert edge.kind is EdgeKind.ARRIVED_BY
    assert edge.sources == ("one.rank", "other.rank")
    assert graph.by_name["one.rank"].params["question"] == f"rye bread: {ASKED['compare']}"
    assert graph.by_name["other.rank"].params["question"] == f"white bread: {ASKED['compare']}"


def test_two_questions_become_two_answers() -> None:
    graph, _ = made(ASKED["parts"])
    assert [task.name for task in graph.sinks] == ["one", "other"]
    asked = {task.name: task.params["question"] for task in graph.tasks}
    assert asked["one"] == asked["research-1"] == "How long does the bread rise"
    assert asked["other"] == asked["rerank"] == asked["alone-1"] == "how hot must the oven be"
    assert asked["beside-1"] == f"how hot must the oven be ({ASKED['parts']})"
    (edge,) = graph.by_name["rerank"].after
    assert edge.sources == ("alone-1", "alone-2", "beside-1", "beside-2")


def test_every_shipped_step_survives_a_dead_device() -> None:
    """Whatever reads a fan over devices goes on without those that did not answer."""
    for goal in ASKED.values():
        graph, _ = made(goal)
        placed = {task.name for task in graph.tasks if task.place}
        for task in graph.tasks:
            for edge in task.after:
                if task.place is None and placed & set(edge.sources):
                    assert edge.kind is EdgeKind.ARRIVED_BY


def test_no_example_is_a_goal_of_the_test_set() -> None:
    goals = {one["goal"] for one in json.loads((DATA / "planning_goals.json").read_text())["goals"]}
    examples = {e.goal for method in RESEARCH.planner.methods for e in method.examples}
    assert len(goals) == 30
    assert not goals & examples


def small(*methods: Method, fallback: str = "", lead: int = 0) -> Team:
    role = Role(
        name="r",
        skill="search",
        description="",
        verification=Verification(checks=()),
        needs_model=False,
    )
    spec = PlannerSpec(
        kind=PlannerKind.METHODS,
        root="answer",
        methods=methods,
        forms=(FORM,),
        fallback=fallback,
        lead=lead,
    )
    return Team(name="t", description="", model=None, roles=(role,), planner=spec)


def method(name: str, *examples: str, slots: tuple[Slot, ...] = ()) -> Method:
    return Method(
        name=name,
        achieves="answer",
        summary=name,
        examples=tuple(Example(goal=one) for one in examples),
        slots=slots,
        steps=(Step(name=name, role="r", params={"q": "{goal}"}),),
    )


NEEDY = method("needy", "foxes", slots=(Slot(name="x", question="X"),))


def ask(team: Team, goal: str) -> list[tuple[str, bool]]:
    model = ScriptedModel(default="nothing of the kind")
    return [(one.chosen, one.fallback) for one in plan(team, PlanContext(goal=goal), model).trace]


def test_a_method_whose_slots_stay_empty_is_passed_over() -> None:
    made = plan(
        small(NEEDY, method("plain", "a blue cat")),
        PlanContext(goal="foxes"),
        ScriptedModel(default="nothing of the kind"),
    )
    (decision,) = made.trace
    assert decision.options == ("needy", "plain")
    assert decision.passed_over == ("needy",)
    assert decision.chosen == "plain"
    assert decision.margin == 1.0
    assert made.prompt_tokens > 0


def test_a_row_of_questions_has_its_method_and_the_model_is_not_asked() -> None:
    slots = (Slot(name="first", question="One"), Slot(name="then", question="Other"))
    row = replace(method("row", slots=slots), of_questions=True)
    team, model = small(row, method("plain", "a blue cat")), ScriptedModel()
    made = plan(team, PlanContext(goal="Who sang it, and when was it sung?"), model)
    (decision,) = made.trace
    assert decision.chosen == "row"
    assert dict(decision.slots) == {"first": "Who sang it", "then": "when was it sung"}
    assert made.prompt_tokens == 0
    assert ask(team, "a blue cat, and who else?") == [("plain", False)]


def test_without_an_applicable_method_the_fallback_is_taken_and_said() -> None:
    assert ask(small(NEEDY, fallback="needy"), "foxes") == [("needy", True)]
    with pytest.raises(GraphError, match="none of the methods needy fits the goal 'foxes'"):
        ask(small(NEEDY), "foxes")


def test_others_must_lead_the_fallback() -> None:
    red, blue = method("red", "a red fox"), method("blue", "a blue cat")
    goal = "a red cat fox"
    assert ask(small(red, blue), goal) == [("red", False)]
    assert ask(small(red, blue, fallback="blue", lead=2), goal) == [("blue", False)]


def test_subgoals_without_end_are_refused() -> None:
    loop = Method(
        name="loop",
        achieves="answer",
        summary="",
        subgoals=(Subgoal(name="again", achieves="answer", goal="{goal}"),),
    )
    with pytest.raises(GraphError, match="nest deeper than 4"):
        plan(small(loop), PlanContext(goal="x"), ScriptedModel())


def test_what_a_subgoal_waits_for_its_first_tasks_wait_for() -> None:
    inner = Method(name="inner", achieves="part", summary="", steps=(Step(name="work", role="r"),))
    outer = Method(
        name="outer",
        achieves="answer",
        summary="",
        steps=(Step(name="first", role="r"),),
        subgoals=(
            Subgoal(
                name="then",
                achieves="part",
                goal="{goal}",
                after=(Wait(kind=EdgeKind.ALL, steps=("first",)),),
            ),
        ),
    )
    graph = plan(small(outer, inner), PlanContext(goal="x"), ScriptedModel()).graph
    assert graph.by_name["then.work"].sources == ("first",)


def test_the_goal_is_scored_as_the_next_line_of_the_examples() -> None:
    assert channel(FORM, method("m", "one", "two"), "a\nb") == ("- one\n- two\n-", " a b\n")


def test_a_span_is_whole_words_of_the_goal_in_its_own_spelling() -> None:
    span = find_span("Compare Oak with pine.", " oak.\n")
    assert span is not None
    assert (span.text, span.start, span.end) == ("Oak", 8, 11)
    assert find_span("Compare oaks", "oak") is None
    assert find_span("Compare oaks", " ?") is None


def test_a_copied_span_keeps_off_what_is_taken() -> None:
    goal = "Who sang it, and who wrote it?"
    taken = [found] if (found := find_span(goal, "Who sang it")) else []
    assert taken
    span = copy_span(ScriptedModel(), "Other: who wrote it\nOther:", goal, taken)
    assert span is not None
    assert span.start >= goal.index("and")
    assert goal[span.start : span.end] == span.text
    assert is_sensible(span, goal, taken)
    everything = find_span("Who", "who")
    assert everything is not None
    assert copy_span(ScriptedModel(), "Other:", "Who?", [everything]) is None


def test_planning_by_methods_needs_a_model() -> None:
    with pytest.raises(ModelError, match="none is loaded"):
        make_plan(RESEARCH, PlanContext(goal="x"), None)
