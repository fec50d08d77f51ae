"""Free plans: what the model writes is a plan only when it passes the check."""

import json
import os
from pathlib import Path

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.configs.loader import load_team
from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.core.errors import ConfigError, GraphError, ModelError
from pockethive.core.ports import Sampling
from pockethive.core.spec import PlannerKind, Team
from pockethive.core.task import DeviceId, EdgeKind
from pockethive.inference import DEFAULT_MODEL, open_model
from pockethive.inference.testing import ScriptedModel
from pockethive.planners.context import Plan, PlanContext
from pockethive.planners.free import MAX_STEPS, parse, schema
from pockethive.planners.planner import make_plan

WORDS = Vocabulary(
    skills={name: SkillInfo(needs_model=True) for name in ("search", "rank", "synthesize")},
    checkers=frozenset({"quotation", "ranking", "citations"}),
)
TEAM = """
team: free
model: big
roles:
  researcher: {skill: search, description: Finds sentences., verify: {check: quotation}}
  reasoner: {skill: rank, description: Orders them., verify: {rescore: ranking}}
  writer: {skill: synthesize, description: Answers., verify: {check: citations}}
planner:
  free:
    find: {role: researcher, each: devices, params: {question: "{ask}"}}
    rank: {role: reasoner, after: {find: {arrived_by: 45s}}, params: {question: "{ask}"}}
    answer: {role: writer, after: rank, params: {question: "{goal}"}}
"""
GOAL = "Compare {ask} the two contracts"
GOOD = [
    {"do": "find", "ask": "the old one", "after": []},
    {"do": "find", "ask": "the new one", "after": []},
    {"do": "rank", "ask": "differences", "after": [1, 2]},
    {"do": "answer", "ask": "", "after": [3]},
]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    path = tmp_path_factory.mktemp("free") / "team.yaml"
    path.write_text(TEAM)
    return load_team(path, WORDS)


def planned(team: Team, *texts: str) -> Plan:
    class Writer(ScriptedModel):
        def _scripted(self, prompt: str) -> str | None:
            return texts[min(len(self.calls), len(texts)) - 1]

    context = PlanContext(goal=GOAL, document_devices=(DeviceId("a"), DeviceId("b")))
    return make_plan(team, context, Writer(plans=True))


def plan_of(steps: object) -> str:
    return json.dumps({"steps": steps})


def test_a_written_plan_becomes_a_graph_with_the_teams_edges(team: Team) -> None:
    graph = planned(team, plan_of(GOOD)).graph
    assert [task.name for task in graph.tasks] == [
        "find1-1",
        "find1-2",
        "find2-1",
        "find2-2",
        "rank3",
        "answer4",
    ]
    rank = graph.tasks[4]
    assert rank.after[0].kind is EdgeKind.ARRIVED_BY
    assert rank.after[0].sources == ("find1-1", "find1-2", "find2-1", "find2-2")
    assert rank.params == {"question": "differences"}


def test_the_goal_stays_text_and_an_empty_ask_is_the_goal(team: Team) -> None:
    steps = [*GOOD[:2], {"do": "rank", "ask": "", "after": [1, 2]}, GOOD[3]]
    graph = planned(team, plan_of(steps)).graph
    assert graph.tasks[4].params == {"question": GOAL}
    assert graph.tasks[5].params == {"question": GOAL}


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([{"do": "rank", "ask": "x", "after": []}], "reads no find"),
        ([GOOD[0], {"do": "answer", "ask": "x", "after": [1]}], "cannot read find"),
        ([GOOD[0], {"do": "rank", "ask": "x", "after": [2]}], "not earlier steps"),
        ([GOOD[0], {"do": "rank", "ask": "x", "after": [1]}], "the last one be answer"),
        ([*GOOD[:2], {"do": "rank", "ask": "x", "after": [1]}, GOOD[3]], "must be read"),
        ([{"do": "dance", "ask": "x", "after": []}], "unknown kinds"),
        ([GOOD[0]] * (MAX_STEPS + 1), "too many"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_reason(team: Team, steps: object, why: str) -> None:
    with pytest.raises(GraphError, match=why):
        planned(team, plan_of(steps))


def test_a_second_try_may_save_the_plan(team: Team) -> None:
    assert len(planned(team, plan_of(GOOD[:1]), plan_of(GOOD)).graph.tasks) == 6


def test_a_model_whose_card_does_not_say_so_may_not_plan(team: Team) -> None:
    with pytest.raises(ModelError, match="does not say that its free plans are good"):
        make_plan(team, PlanContext(goal="x"), ScriptedModel())


def test_settings_of_methods_do_not_belong_to_free_plans(tmp_path: Path) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(TEAM + "  fallback: find\n")
    with pytest.raises(ConfigError, match="belongs to `methods`, not `free`"):
        load_team(path, WORDS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("find"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["steps", "do", "ask", "after"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(value=JSON)
def test_any_json_is_a_plan_or_refused(team: Team, value: object) -> None:
    kinds = {step.name: step for step in team.planner.steps}
    try:
        steps = parse(json.dumps(value), kinds)
    except GraphError:
        return
    assert all(0 < n < number for number, s in enumerate(steps, 1) for n in s.after)


@pytest.mark.model
def test_the_default_model_may_not_but_its_grammar_holds(team: Team) -> None:
    home = os.environ.get("POCKETHIVE_HOME") or platformdirs.user_data_dir("pockethive")
    model = open_model(DEFAULT_MODEL, Path(home), threads=2)
    assert not model.plans
    kinds = {step.name: step for step in team.planner.steps}
    prompt = model.chat("Divide the goal into steps.", "Goal: compare two contracts")
    made = model.constrain(prompt, schema(kinds), Sampling(max_tokens=1200))
    written = json.loads(made.text)["steps"]
    assert 0 < len(written) <= MAX_STEPS
    assert {step["do"] for step in written} <= kinds.keys()


def test_the_schema_names_the_kinds_and_bounds_everything(team: Team) -> None:
    assert team.planner.kind is PlannerKind.FREE
    text = json.dumps(schema({step.name: step for step in team.planner.steps}))
    assert '"enum": ["find", "rank", "answer"]' in text
    assert text.count("maxItems") == 2
    assert text.count("maxLength") == 1
