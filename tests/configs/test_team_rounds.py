"""A template in rounds, in a team file: what it becomes, and where each fault is said to be."""

import pytest

from pockethive.configs.loader import load_team_text
from pockethive.core.errors import ConfigError
from pockethive.vocabulary import vocabulary

TEAM = """\
team: turns
model: smollm2-135m-instruct
roles:
  finder: {skill: search, verify: {check: quotation}}
planner:
  rounds: 12
  steps:
    find: {role: finder, each: devices, params: {question: "{goal} ({round})"}}
"""


def test_a_template_may_be_done_in_rounds() -> None:
    planner = load_team_text(TEAM, "t.yaml", vocabulary()).planner
    assert planner.rounds == 12
    assert planner.steps[0].params["question"] == "{goal} ({round})"


def test_a_step_may_wait_for_the_round_before() -> None:
    text = TEAM.replace("each: devices,", "after: before,")
    (step,) = load_team_text(text, "t.yaml", vocabulary()).planner.steps
    assert [wait.steps for wait in step.after] == [("before",)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  rounds: 12\n", "", "t.yaml:7:33: step 'before' is not known"),
        ("find:", "before:", "t.yaml:8:5: a step in rounds cannot be called 'before'"),
        ("12", "0", "t.yaml:6:11: rounds is 0, it must be from 1 to 2000"),
        ("12", "often", "t.yaml:6:11: rounds must be a whole number, found"),
        ("steps", "free", "t.yaml:6:3: 'rounds' belongs to `steps`, not `free`"),
    ],
)
def test_rounds_are_bounded_and_belong_to_steps(old: str, new: str, said: str) -> None:
    text = TEAM.replace("each: devices,", "after: before,") if not new else TEAM
    with pytest.raises(ConfigError) as caught:
        load_team_text(text.replace(old, new), "t.yaml", vocabulary())
    assert str(caught.value).startswith(said)
