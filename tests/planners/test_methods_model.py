"""Planning with the default model: the plain ways of asking must come out right."""

import pytest

from pockethive.configs.loader import load_team
from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.core.ports import Model
from pockethive.core.task import DeviceId
from pockethive.planners.context import PlanContext
from pockethive.planners.methods import plan

WORDS = Vocabulary(
    skills={name: SkillInfo(needs_model=True) for name in ("search", "rank", "synthesize")},
    checkers=frozenset({"quotation", "fit", "ranking", "citations"}),
)


@pytest.mark.model
@pytest.mark.parametrize(
    ("goal", "method"),
    [
        ("How do I change the battery of the smoke alarm?", "lookup"),
        ("What is the wifi password of the cabin?", "lookup"),
        ("compare Anna's report with Ben's report", "compare"),
        ("List all medicines that Aunt Rosa takes", "collect"),
        ("Is there any proof that the invoice was paid?", "evidence"),
        ("what is the maximum load of the lift, and who inspects it?", "parts"),
        ("Describe the city's water supply", "overview"),
    ],
)
def test_a_plain_goal_gets_its_method(model: Model, goal: str, method: str) -> None:
    context = PlanContext(goal=goal, document_devices=(DeviceId("a"), DeviceId("b")))
    first = plan(load_team("research", WORDS), context, model).trace[0]
    assert first.chosen == method, first
    assert not first.fallback
