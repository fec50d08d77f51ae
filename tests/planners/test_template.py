"""The template planner: fans, places, waits and limits."""

import pytest

from pockethive.core.errors import BadInput, DocumentError, GraphError
from pockethive.core.spec import Fan, Limits, PlannerKind, PlannerSpec, Role, Step, Team, Wait
from pockethive.core.task import Check, DeviceId, Edge, EdgeKind, Policy, Verification
from pockethive.planners.context import PlanContext
from pockethive.planners.planner import make_plan
from pockethive.planners.template import plan

DEVICES = (DeviceId("a"), DeviceId("b"), DeviceId("c"))
CHECKED = Verification(checks=(Check(Policy.CHECK, "quotation"),))
FINDER = Role(name="finder", skill="search", description="", verification=CHECKED, needs_model=True)
FAN = Step(name="find", role="finder", each=Fan.DEVICES, params={"question": "{goal}"})


def team(*steps: Step, max_tasks: int = 200, rounds: int = 1) -> Team:
    return Team(
        name="t",
        description="",
        model=None,
        roles=(FINDER,),
        planner=PlannerSpec(kind=PlannerKind.TEMPLATE, steps=steps, rounds=rounds),
        limits=Limits(max_tasks=max_tasks),
    )


def context(goal: str = "why?") -> PlanContext:
    return PlanContext(goal=goal, document_devices=DEVICES)


def step(name: str, *after: Wait, each: Fan | None = None) -> Step:
    return Step(name=name, role="finder", after=after, each=each)


def test_a_fan_makes_one_task_per_device_placed_there() -> None:
    graph = plan(team(FAN), context())
    assert [(t.name, t.place) for t in graph.tasks] == [
        ("find-1", "a"),
        ("find-2", "b"),
        ("find-3", "c"),
    ]
    assert graph.tasks[0].params == {"question": "why?"}
    assert graph.tasks[0].verification is CHECKED
    assert graph.tasks[0].needs_model


def test_a_wait_over_a_fan_stands_for_all_its_tasks() -> None:
    wait = Wait(kind=EdgeKind.ARRIVED_BY, steps=("find",), count=1, seconds=20)
    graph = plan(team(step("rank", wait), FAN), context())
    assert graph.by_name["rank"].after == (
        Edge(kind=EdgeKind.ARRIVED_BY, sources=("find-1", "find-2", "find-3"), count=1, seconds=20),
    )


def test_a_paired_wait_goes_member_by_member() -> None:
    wait = Wait(kind=EdgeKind.ALL, steps=("find",), paired=True)
    graph = plan(team(FAN, step("rank", wait, each=Fan.DEVICES)), context())
    assert [graph.by_name[f"rank-{n}"].sources for n in (1, 2, 3)] == [
        ("find-1",),
        ("find-2",),
        ("find-3",),
    ]


def test_a_goal_that_looks_like_a_place_stays_text() -> None:
    inner = Step(
        name="find", role="finder", params={"deep": [{"q": "{goal} {other}"}, 3, True, None]}
    )
    graph = plan(team(inner), context("{goal} {device}"))
    assert graph.tasks[0].params == {"deep": [{"q": "{goal} {device} {other}"}, 3, True, None]}


def test_a_fan_without_documents_is_bad_input_with_a_cure() -> None:
    with pytest.raises(DocumentError, match=r"no device .* holds documents .*--documents"):
        plan(team(FAN), PlanContext(goal="why?"))


def test_each_round_begins_with_what_the_one_before_ended_with() -> None:
    ask = Step(name="ask", role="finder", each=Fan.DEVICES, params={"turn": "{round} of {goal}"})
    count = step("count", Wait(kind=EdgeKind.ALL, steps=("ask",)))
    graph = plan(team(count, ask, rounds=3), context("it"))
    assert len(graph.tasks) == 12
    assert graph.by_name["round-1.ask-2"].after == ()
    assert graph.by_name["round-3.ask-2"].sources == ("round-2.count",)
    assert graph.by_name["round-3.ask-2"].params == {"turn": "3 of it"}
    assert graph.by_name["round-3.count"].sources == tuple(f"round-3.ask-{n}" for n in (1, 2, 3))
    assert [task.name for task in graph.sinks] == ["round-3.count"]


def test_a_later_step_may_read_what_the_round_before_ended_with() -> None:
    ask = Step(name="ask", role="finder", each=Fan.DEVICES)
    count = step("count", Wait(kind=EdgeKind.ALL, steps=("ask", "before")))
    graph = plan(team(ask, count, rounds=2), context())
    asked = tuple(f"round-1.ask-{n}" for n in (1, 2, 3))
    assert graph.by_name["round-1.count"].sources == asked
    again = tuple(f"round-2.ask-{n}" for n in (1, 2, 3))
    assert graph.by_name["round-2.count"].sources == (*again, "round-1.count")
    assert graph.by_name["round-2.ask-1"].sources == ("round-1.count",)


def test_a_round_may_end_with_several_steps() -> None:
    graph = plan(team(step("one"), step("two"), rounds=2), context())
    assert graph.by_name["round-2.one"].sources == ("round-1.one", "round-1.two")


def test_rounds_count_against_the_teams_limit() -> None:
    with pytest.raises(GraphError, match="the plan has 8 tasks, this team allows 7"):
        plan(team(step("one"), step("two"), max_tasks=7, rounds=100), context())


def test_a_plan_never_outgrows_the_teams_limit() -> None:
    with pytest.raises(GraphError, match="the plan has 3 tasks, this team allows 2"):
        plan(team(FAN, max_tasks=2), context())
    assert len(plan(team(FAN, max_tasks=3), context()).tasks) == 3


def test_a_cycle_and_an_unknown_step_are_graph_errors() -> None:
    one = step("one", Wait(kind=EdgeKind.ALL, steps=("two",)))
    two = step("two", Wait(kind=EdgeKind.ALL, steps=("one",)))
    with pytest.raises(GraphError, match="a cycle among one, two"):
        plan(team(one, two), context())
    with pytest.raises(GraphError, match="'one' waits for 'two', which does not exist"):
        plan(team(one), context())


@pytest.mark.parametrize(("goal", "said"), [("  \n", "empty"), ("x" * 4001, "at most 4000")])
def test_a_goal_must_say_something_and_not_too_much(goal: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        PlanContext(goal=goal)


def test_a_template_needs_no_model() -> None:
    made = make_plan(team(FAN), context(), None)
    assert made.trace == ()
    assert made.prompt_tokens == 0
    assert len(made.graph.tasks) == 3
