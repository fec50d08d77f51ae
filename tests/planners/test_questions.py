"""A row of questions is taken apart; what only looks like one is left whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pockethive.planners.questions import MOST, questions


@pytest.mark.parametrize(
    "row",
    [
        ("When does the library open", "who runs it"),
        ("Of which wood is the door", "up to how many people fit in"),
        ("Is the bridge open", "may I cross it with a cart"),
        ("How long is the lease", "what does it cost", "who signs it"),
        ("what does the bell mean", "when is it rung"),
    ],
)
def test_questions_in_a_row_are_taken_apart(row: tuple[str, ...]) -> None:
    assert questions(f"{', '.join(row[:-1])}, and {row[-1]}?") == row
    assert questions("? ".join(row) + "?") == row


@pytest.mark.parametrize(
    "goal",
    [
        "When I ring the bell, what happens?",
        "Who is older, Anna or Bert?",
        "If the bridge is closed, where do I cross?",
        "What is the difference between when and where?",
        "Explain when and how to pay.",
        "Name the woman who built it, and who sold it.",
        "Why did the mill burn, and why?",
        "Is it so, and is it, and is it, and is it, and is it so again and again?",
        "the lease",
        "",
    ],
)
def test_what_is_no_row_of_questions_stays_whole(goal: str) -> None:
    assert questions(goal) == (goal,)


@given(some.text(max_size=200))
def test_questions_are_the_goals_own_words_in_order(goal: str) -> None:
    found = questions(goal)
    assert 1 <= len(found) <= MOST
    at = 0
    for each in found:
        at = " ".join(goal.split()).index(each, at) + len(each)
