"""Scores against values reckoned by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import BadInput
from pockethive.inference.measures import (
    Bin,
    calibration_error,
    mean_bound,
    reliability,
    same,
    token_f1,
)


@pytest.mark.parametrize(
    ("given_text", "right", "f1"),
    [
        ("five pounds", "five pounds", 1.0),
        ("The five pounds.", "five pounds", 1.0),  # articles and points do not count
        ("five euros", "five pounds", 0.5),  # precision 1/2, recall 1/2
        ("costs five pounds", "five pounds", 0.8),  # precision 2/3, recall 1
        ("of of", "of", 2 / 3),  # a word counts as often as it stands there
        ("", "five", 0.0),
        ("five", "", 0.0),
        ("", "", 1.0),
    ],
)
def test_token_f1_is_the_harmonic_mean_of_precision_and_recall(
    given_text: str, right: str, f1: float
) -> None:
    assert token_f1(given_text, right) == pytest.approx(f1)


def test_the_same_words_in_another_order_are_not_the_same_text() -> None:
    assert same("The Old Tram!", "old tram")
    assert not same("tram old", "old tram")


def test_the_error_is_the_distance_between_said_and_true_weighed_by_count() -> None:
    bins = reliability([0.95, 0.95, 0.85, 0.15, 1.0], [1, 0, 1, 0, 1])
    assert [each.count for each in bins] == [0, 1, 0, 0, 0, 0, 0, 0, 1, 3]
    assert bins[9].confidence == pytest.approx(2.9 / 3)
    # |0.15 - 0| + |0.85 - 1| + 3 * |0.9667 - 0.6667| over five answers
    assert calibration_error(bins) == pytest.approx((0.15 + 0.15 + 0.9) / 5)
    assert calibration_error([Bin(0, 0.0, 0.0)]) == 0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
def test_no_answer_is_lost_between_bins(answers: list[tuple[float, bool]]) -> None:
    bins = reliability([c for c, _ in answers], [r for _, r in answers])
    assert sum(each.count for each in bins) == len(answers)
    assert 0 <= calibration_error(bins) <= 1


def test_confidence_beyond_one_is_refused() -> None:
    with pytest.raises(BadInput, match="between 0 and 1"):
        reliability([1.01], [1])
    with pytest.raises(BadInput, match="between 0 and 1"):
        reliability([0.5], [])


def test_the_bound_of_a_mean_is_two_deviations_below_it() -> None:
    # mean 0.75, sample variance 0.25, four values: 0.75 - 1.96 * 0.5 / 2
    assert mean_bound([1, 1, 1, 0]) == 0.26
    assert mean_bound([1.0, 1.0]) == 1.0
    with pytest.raises(BadInput, match="two values"):
        mean_bound([1.0])
