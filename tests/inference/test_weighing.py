"""Candidates are weighed by fitted figures, and sentences kept for what is new in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import BadInput
from pockethive.inference.condensing import condensed, outlook
from pockethive.inference.weighing import first, log_odds, logistic, shares

FIGURES = st.floats(-50, 50)
TOLD = {"named": 20.0, "beside": 0.3}


def test_shares_are_those_of_the_weighed_sums() -> None:
    given_ = shares({"gain": 1.0, "none": 0.0}, [{"gain": 1.0986122887}, {"none": 1.0}])
    assert given_ == pytest.approx([0.75, 0.25])
    with pytest.raises(BadInput, match="no weight was fitted for odd"):
        shares({"gain": 1.0}, [{"odd": 1.0}])


@given(st.lists(FIGURES, min_size=1, max_size=8), FIGURES)
def test_shares_make_one_and_keep_the_order(figures: list[float], weight: float) -> None:
    given_ = shares({"gain": weight}, [{"gain": each} for each in figures])
    assert sum(given_) == pytest.approx(1)
    assert given_[first([weight * each for each in figures])] == max(given_)


@given(st.floats(-29, 29))
def test_log_odds_are_undone_by_the_logistic_function(total: float) -> None:
    assert log_odds(logistic(total)) == pytest.approx(total, abs=1e-2)


def test_what_is_said_twice_is_kept_once_and_what_is_beside_the_point_goes() -> None:
    texts = [
        "The Salt Mill stands in Corran.",
        "You will find the Salt Mill in Corran.",
        "The Toy Mill belongs to Ada Brink.",
        "Some like it.",
        "The Salt Mill opened in 1874.",
    ]
    surprises = [20.0, 30.0, 40.0, 25.0, 20.0]
    kept, worth, left = condensed(texts, surprises, 70, TOLD)
    assert kept == [1, 4]
    assert min(worth) > max(left)
    assert outlook(worth, left) == (min(worth) - max(left), max(left))
    assert outlook([], []) == (0, 0)
    assert condensed(texts, surprises, 5, TOLD)[0] == []


@given(st.lists(st.text(alphabet="aB 1.", min_size=1, max_size=20), max_size=8), st.integers(0, 60))
def test_kept_sentences_are_in_order_and_within_the_budget(texts: list[str], budget: int) -> None:
    kept, worth, left = condensed(texts, [1.0] * len(texts), budget, TOLD)
    assert kept == sorted(set(kept))
    assert len(" ".join(texts[number] for number in kept)) <= budget
    assert len(worth) + len(left) == len(texts)


def test_a_sentence_beside_the_point_comes_last_however_much_it_surprises() -> None:
    texts = ["The Salt Mill opened.", "The Salt Mill is red.", "Ada Brink came home with a bowl."]
    kept, _, _ = condensed(texts, [20.0, 20.0, 90.0], 45, TOLD)
    assert kept == [0, 1]
    assert condensed(texts, [20.0, 20.0, 90.0], 45, {**TOLD, "beside": 1.0})[0] == [2]
