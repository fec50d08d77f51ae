"""First to be ahead by k."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import BadInput
from pockethive.trials.ahead import count, in_turn

VOTES = st.lists(st.sampled_from(["a", "b", "c", None]), max_size=60)


def test_votes_are_taken_device_by_device_in_turn() -> None:
    ballots = [["a1", "a2", "a3"], ["b1"], ["c1", "c2"]]
    assert list(in_turn(ballots)) == ["a1", "b1", "c1", "a2", "c2", "a3"]
    blank: list[list[str | None]] = [[None, "x"], ["y"]]
    assert list(in_turn(blank)) == [None, "y", "x"]


def test_the_first_option_to_lead_every_other_by_k_wins() -> None:
    ended = count(["a", "b", "a", "c", "a", "b", "b", "b"], ahead=2, cap=100)
    assert (ended.leader, ended.decided, ended.read) == ("a", True, 5)
    assert ended.votes == {"a": 3, "b": 1, "c": 1}


def test_blank_votes_are_read_and_count_for_nobody() -> None:
    ended = count([None, "a", None, "a"], ahead=2, cap=100)
    assert (ended.leader, ended.read, ended.blank) == ("a", 4, 2)


def test_a_step_without_a_lead_is_undecided_and_says_so() -> None:
    ended = count(["b", "a", "a", "b"] * 10, ahead=3, cap=8)
    assert (ended.leader, ended.decided, ended.read) == ("b", False, 8)
    assert count([None, None], ahead=1, cap=5).leader is None
    with pytest.raises(BadInput):
        count(["a"], ahead=0, cap=1)


@given(VOTES, st.integers(1, 5), st.integers(1, 60))
def test_a_count_says_what_can_be_counted_again(
    votes: list[str | None], ahead: int, cap: int
) -> None:
    ended = count(votes, ahead, cap)
    read = votes[: ended.read]
    tally = {option: read.count(option) for option in set(read) if option is not None}
    assert ended.votes == tally
    assert ended.blank == read.count(None)
    lead = max(tally.values(), default=0) - max([0, *sorted(tally.values())[:-1]])
    assert ended.decided == (lead >= ahead)
    assert ended.decided or ended.read == min(cap, len(votes))
    if tally:
        assert ended.leader is not None
        assert tally[ended.leader] == max(tally.values())
