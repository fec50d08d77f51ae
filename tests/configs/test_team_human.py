"""`verify: human` in team files: what it becomes, and what it is refused for."""

import pytest

from pockethive.configs.loader import load_team_text
from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.core.errors import ConfigError
from pockethive.core.task import Check, Policy

WORDS = Vocabulary(
    skills={"write": SkillInfo(needs_model=False)}, checkers=frozenset({"quotation"})
)


def text(how: str) -> str:
    return (
        f"team: letters\nroles:\n  writer: {{skill: write, verify: {how}}}\n"
        "planner: {steps: {draft: {role: writer}}}\n"
    )


@pytest.mark.parametrize("verify", ["human", "[human]", "human, verdicts: 1"])
def test_human_is_a_word_by_itself(verify: str) -> None:
    team = load_team_text(text(verify), "t.yaml", WORDS)
    assert team.role("writer").verification.checks == (Check(Policy.HUMAN, "human"),)


@pytest.mark.parametrize(
    ("verify", "said"),
    [
        ("{human: quotation}", "`human` names no checker (write `verify: human`"),
        ("[human, {check: quotation}]", "`human` goes with no other check"),
        ("[human, recompute]", "goes with no other check"),
        ("human, adaptive: true", "who gives one verdict and no credit"),
        ("human, verdicts: 2", "who gives one verdict and no credit"),
        ("humans", "verify must be a mapping"),
    ],
)
def test_what_no_person_is_asked_is_said_so(verify: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"t\.yaml:3:") as caught:
        load_team_text(text(verify), "t.yaml", WORDS)
    assert said in str(caught.value)
