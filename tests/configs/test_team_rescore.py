"""`verify: rescore` in team files: what it becomes, and what it is refused for, at its place."""

import pytest

from pockethive.configs.loader import load_team_text
from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.core.errors import ConfigError
from pockethive.core.task import Check, Policy
from pockethive.vocabulary import vocabulary

WORDS = Vocabulary(
    skills={
        "summarize": SkillInfo(needs_model=True, asks=True),
        "rank": SkillInfo(needs_model=True),
    },
    checkers=frozenset({"ranking", "rescore.summarize"}),
)
AGAIN = Check(Policy.RESCORE, "rescore.summarize")


def text(role: str, step: str = "role: writer", model: str = "model: scripted\n") -> str:
    return (
        f"team: digest\n{model}roles:\n  writer: {{{role}}}\n"
        f"planner: {{steps: {{digest: {{{step}}}}}}}\n"
    )


@pytest.mark.parametrize(
    ("verify", "checks"),
    [
        ("rescore", (AGAIN,)),
        ("[rescore]", (AGAIN,)),
        ("[rescore, {check: ranking}]", (AGAIN, Check(Policy.CHECK, "ranking"))),
        ("rescore, adaptive: true, verdicts: 2", (AGAIN,)),
    ],
)
def test_rescore_is_a_word_by_itself(verify: str, checks: tuple[Check, ...]) -> None:
    team = load_team_text(text(f"skill: summarize, verify: {verify}"), "t.yaml", WORDS)
    assert team.role("writer").verification.checks == checks


@pytest.mark.parametrize(
    ("source", "where", "said"),
    [
        (
            text("skill: rank, verify: rescore"),
            "t.yaml:4:33",
            "its skill 'rank' does not say what it asks the model (`summarize` can be verified so",
        ),
        (
            text("skill: rank, verify: [{check: ranking}, rescore]"),
            "t.yaml:4:52",
            "its skill 'rank' does not say what it asks",
        ),
        (
            text("skill: summarize, verify: rescore", "role: writer, label: device"),
            "t.yaml:4:38",
            "a step of it is labelled `device`, and its text may not leave",
        ),
        (
            text("skill: summarize, verify: rescore", model="model:\n"),
            "t.yaml:4:38",
            "but the team names no model",
        ),
        (
            text("skill: rank, verify: {rescore: rescore.summarize}"),
            "t.yaml:4:",
            "rescore.summarize",
        ),
        (text("skill: summarize, verify: rescored"), "t.yaml:4:", "verify must be a mapping"),
    ],
)
def test_what_nobody_could_read_again_is_refused_at_its_place(
    source: str, where: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_team_text(source, "t.yaml", WORDS)
    assert where in str(caught.value)
    assert said in str(caught.value)


def test_the_shipped_vocabulary_knows_which_skills_write() -> None:
    words = vocabulary()
    assert [name for name, info in words.skills.items() if info.asks] == ["summarize"]
    assert "rescore.summarize" in words.checkers
    team = load_team_text(text("skill: summarize, verify: rescore"), "t.yaml", words)
    assert team.role("writer").needs_model
