"""`verify: recompute` in team files: what it becomes, and what it is refused for."""

import pytest

from pockethive.configs.loader import load_team_text
from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.core.errors import ConfigError
from pockethive.core.task import Check, Policy

WORDS = Vocabulary(
    skills={"sum": SkillInfo(needs_model=False)}, checkers=frozenset({"ranking", "quotation"})
)


def text(verify: str) -> str:
    return (
        f"team: sums\nroles:\n  adder: {{skill: sum, verify: {verify}}}\n"
        "planner: {steps: {add: {role: adder}}}\n"
    )


@pytest.mark.parametrize("verify", ["recompute", "[recompute]"])
def test_recompute_is_a_word_by_itself(verify: str) -> None:
    team = load_team_text(text(verify), "t.yaml", WORDS)
    assert team.role("adder").verification.checks == (Check(Policy.RECOMPUTE, "recompute"),)


def test_rescoring_names_a_checker() -> None:
    team = load_team_text(text("{rescore: ranking}"), "t.yaml", WORDS)
    assert team.role("adder").verification.checks == (Check(Policy.RESCORE, "ranking"),)


@pytest.mark.parametrize(
    ("verify", "said"),
    [
        ("{recompute: ranking}", "`recompute` names no checker (write `verify: recompute`"),
        ("[recompute, {check: quotation}]", "`recompute` goes with no other check"),
        ("recomputed", "verify must be a mapping"),
    ],
)
def test_what_cannot_be_voted_on_is_said_so(verify: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"t\.yaml:3:") as caught:
        load_team_text(text(verify), "t.yaml", WORDS)
    assert said in str(caught.value)
