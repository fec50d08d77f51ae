"""A method for a row of questions: needs no examples, but a slot for each question."""

import pytest

from pockethive.configs.loader import load_team_text
from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.core.errors import ConfigError

WORDS = Vocabulary(
    skills={"search": SkillInfo(needs_model=True)}, checkers=frozenset({"quotation"})
)
TEAM = """\
team: small
model: tiny
roles:
  finder: {skill: search, verify: {check: quotation}}
planner:
  root: answer
  fallback: plain
  forms: [{name: list, line: "- {goal}\\n"}]
  methods:
    plain: {achieves: answer, examples: [where is it], steps: {find: {role: finder}}}
    pair:
      achieves: answer
      slots: {first: One, second: Two}
      slots_are: questions
      steps: {find: {role: finder, params: {question: "{first}"}}}
"""


def test_it_needs_no_examples() -> None:
    plain, pair = load_team_text(TEAM, "t.yaml", WORDS).planner.methods
    assert (plain.of_questions, pair.of_questions) == (False, True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("slots_are: questions", "slots_are: answers", "t.yaml:14:18: "),
        (", second: Two", "", "t.yaml:14:18: a goal's questions need two slots at least"),
        ("      slots_are: questions\n", "", "needs `examples`"),
    ],
)
def test_faults_are_said_at_their_place(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_team_text(TEAM.replace(old, new), "t.yaml", WORDS)
