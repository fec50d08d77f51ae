"""Voting, spot checks and credibility: the known figures, and simulation within its interval."""

import random

import pytest

from bench.validation import (
    SPOT_CHECKS,
    Hive,
    adaptive,
    groups,
    honest,
    honest_overhead,
    spot_bound,
    spot_checks,
    spot_error,
    voting,
    worst_rate,
)
from pockethive.core.errors import BadInput
from pockethive.core.voting import expected_votes, group_credibility, m_first, voting_error

SEED = 8


def chance() -> random.Random:
    return random.Random(SEED)


def test_the_first_answer_with_m_votes_of_distinct_devices_wins() -> None:
    votes = [("a", 1), ("b", 2), ("c", 2), ("d", 1), ("e", 1)]
    assert m_first(votes, 1) == 1
    assert m_first(votes, 2) == 2
    assert m_first(votes, 3) == 1
    assert m_first(votes, 4) is None
    assert m_first([("a", 1), ("a", 1), ("a", 1)], 2) is None
    with pytest.raises(BadInput, match="at least one vote"):
        m_first(votes, 0)


@pytest.mark.parametrize(
    ("m", "wrong", "error"),
    [
        (2, 0.05, 7.25e-3),
        (2, 0.1, 2.80e-2),
        (2, 0.2, 0.104),
        (3, 0.05, 1.158e-3),
        (3, 0.1, 8.56e-3),
    ],
)
def test_the_error_of_voting_is_that_of_the_literature(m: int, wrong: float, error: float) -> None:
    assert voting_error(m, wrong) == pytest.approx(error, rel=2e-3)


@pytest.mark.parametrize(("error", "least"), [(0.05, 15), (0.01, 29), (0.001, 51)])
def test_so_many_votes_outvote_a_third_of_saboteurs(error: float, least: int) -> None:
    assert next(m for m in range(1, 99) if voting_error(m, 0.35) <= error) == least


@pytest.mark.parametrize(
    ("m", "wrong", "count"), [(2, 0.05, 2.095), (2, 0.1, 2.18), (3, 0.1, 3.3186)]
)
def test_so_many_votes_are_cast(m: int, wrong: float, count: float) -> None:
    assert expected_votes(m, wrong) == pytest.approx(count, abs=5e-5)


@pytest.mark.parametrize(("m", "wrong"), [(2, 0.1), (3, 0.2)])
def test_simulated_votes_are_as_theory_says(m: int, wrong: float) -> None:
    error, count = voting(chance(), m, wrong, 20_000)
    assert error.holds, (SEED, error)
    assert count.holds, (SEED, count)


@pytest.mark.parametrize(
    ("known", "error", "bound"),
    list(
        zip(SPOT_CHECKS, (0.003910, 0.01672, 0.001895), (0.004088, 0.01839, 0.001936), strict=True)
    ),
)
def test_spot_checks_with_blacklist_and_backtracking_are_as_theory_says(
    known: tuple[float, float, int], error: float, bound: float
) -> None:
    f, q, n = known
    assert spot_error(f, q, n, worst_rate(f, q, n)) == pytest.approx(error, rel=5e-4)
    assert spot_bound(f, q, n) == pytest.approx(bound, rel=5e-4)
    simulated = spot_checks(chance(), f, q, n, 10_000)
    assert simulated.holds, (SEED, simulated)


@pytest.mark.parametrize(("jobs", "checked"), [(100, 0.170), (1_000, 0.046), (10_000, 0.0142)])
def test_an_honest_device_is_checked_ever_less_often(jobs: int, checked: float) -> None:
    assert honest_overhead(jobs) == pytest.approx(checked, abs=2e-3)


@pytest.mark.parametrize(("jobs", "devices"), [(100, 400), (1_000, 100)])
def test_the_ledgers_rule_checks_honest_devices_as_often_as_theory_says(
    jobs: int, devices: int
) -> None:
    simulated = honest(b"seed %d" % SEED, jobs, devices)
    assert simulated.holds, (SEED, simulated)


def test_a_group_is_as_credible_as_the_literature_says() -> None:
    found = group_credibility({"Z": (0.967, 0.998), "M": (0.933,)})
    assert found["Z"] == pytest.approx(0.998980, abs=5e-7)
    assert found["M"] == pytest.approx(0.000951, abs=5e-7)
    assert group_credibility({"alone": (0.9,)}) == {"alone": pytest.approx(0.9)}
    simulated = groups(chance(), 200_000)
    assert all(each.holds for each in simulated.values()), (SEED, simulated)
    with pytest.raises(BadInput, match="between 0 and 1"):
        group_credibility({"sure": (1.0,)})


def test_saboteurs_with_credit_cost_more_than_nothing_and_less_than_their_share() -> None:
    honest_hive = Hive(saboteurs=0.0, rate=1.0, forgives=True, runs=10)
    wrong, overhead = adaptive(chance(), honest_hive)
    assert wrong == 0
    assert overhead < 0.5
    bad, _ = adaptive(chance(), Hive(saboteurs=0.2, rate=1.0, forgives=True, runs=10))
    strict, _ = adaptive(chance(), Hive(saboteurs=0.2, rate=1.0, forgives=False, runs=10))
    assert 0 < strict < bad < 0.2
