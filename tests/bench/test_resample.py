"""Votes drawn again do what the law says of their chances; a job fails where one state does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bench.swarm.resample import (
    Job,
    Seen,
    correlation,
    from_mean,
    half_length,
    hopeless,
    predicted,
    resampled,
)


def seen(*p: float) -> list[Seen]:
    """States of two options, asked in one way each; the first is right."""
    return [Seen(((each, 1 - each),), 0) for each in p]


@given(p=some.floats(0.75, 0.95), k=some.integers(1, 4), seed=some.integers(0, 9))
@settings(max_examples=12, deadline=None)
def test_drawn_votes_agree_with_the_law(p: float, k: int, seed: int) -> None:
    job = Job(seen(p), [0] * 4)
    drawn = resampled(job, k, 4_000, seed)
    law = predicted(job, k)
    slack = 4 * (law["success"] * (1 - law["success"]) / 4_000) ** 0.5 + 1e-3
    assert abs(drawn["right"] / drawn["of"] - law["success"]) < slack
    assert drawn["votes"] == pytest.approx(law["votes"], rel=0.05)
    assert not drawn["undecided"]


def test_one_state_that_is_mostly_wrong_sinks_the_job_though_the_mean_looks_well() -> None:
    job = Job(seen(0.99, 0.99, 0.99, 0.2), [0, 1, 2, 3])
    assert hopeless(job.states) == 1
    assert from_mean(job, 8) > 0.98
    assert predicted(job, 8)["success"] < 0.001
    assert resampled(job, 8, 200, 1)["right"] == 0
    assert half_length(job.states, 8) < half_length(job.states[:3], 8)


def test_alike_errors_show_as_correlation() -> None:
    assert correlation(seen(0.8, 0.8, 0.8)) == pytest.approx(0)
    assert correlation(seen(1.0, 1.0, 0.0)) == pytest.approx(1)


def test_ways_are_drawn_as_often_as_each_other() -> None:
    pooled = Seen(((0.9, 0.1), (0.3, 0.7)), 0)
    assert pooled.p == pytest.approx(0.6)
    assert pooled.rival == pytest.approx(0.4)


def test_a_longer_job_goes_through_its_states_again() -> None:
    assert Job(seen(0.9, 0.8), [0, 1, 1]).cut(7).path == [0, 1, 1, 0, 1, 1, 0]


def test_votes_that_never_decide_end_at_the_cap_and_are_counted() -> None:
    drawn = resampled(Job(seen(0.5), [0]), 8, 50, 3, cap=4)
    assert drawn["undecided"] == drawn["steps"] == 50
    assert drawn["votes"] == 4


def test_a_share_of_votes_for_the_best_wrong_option_is_what_a_cheat_casts() -> None:
    seen = Seen(((0.9, 0.06, 0.04),), 0).cheated(0.2)
    assert seen.pooled == pytest.approx((0.72, 0.248, 0.032))
    assert seen.p > seen.rival
    assert Seen(((0.5, 0.5),), 0).cheated(0.2).p < 0.5
