"""The laws of voting against the figures of the paper, and against chance itself."""

from random import Random
from statistics import fmean

import pytest

from pockethive.core.errors import BadInput
from pockethive.trials.ahead import count
from pockethive.trials.laws import (
    expected_votes,
    job_band,
    job_success,
    least_ahead,
    step_success,
    wilson,
)

HANOI_20 = 2**20 - 1


@pytest.mark.parametrize(
    ("wrong", "k"),
    [  # Meyerson et al. 2025, the table of models: 20 disks, a chance of .95 for all of them
        (0.3571, 29),
        (0.0040, 4),
        (0.0022, 3),
        (0.0018, 3),
        (0.1839, 12),
        (0.0358, 6),
        (0.2342, 15),
        (0.0569, 6),
        (0.0393, 6),
    ],
)
def test_the_least_lead_is_that_of_the_paper(wrong: float, k: int) -> None:
    assert least_ahead(1 - wrong, wrong, HANOI_20, 0.95) == k
    assert step_success(1 - wrong, wrong, k) ** HANOI_20 >= 0.95
    assert step_success(1 - wrong, wrong, k - 1) ** HANOI_20 < 0.95


def test_expected_votes_are_those_of_the_gamblers_ruin() -> None:
    assert expected_votes(0.6, 0.4, 3) == pytest.approx(8.143, abs=5e-4)
    assert expected_votes(0.5, 0.5, 3) == 9
    assert expected_votes(0.5 + 1e-8, 0.5 - 1e-8, 3) == pytest.approx(9)


@pytest.mark.parametrize(("p", "q", "k"), [(0.6, 0.4, 3), (0.5, 0.2, 2), (0.3, 0.4, 4)])
def test_counting_drawn_votes_comes_to_what_the_laws_say(p: float, q: float, k: int) -> None:
    chance, runs = Random(7), 4000
    counts = [
        count(iter(lambda: chance.choices(["a", "b", None], [p, q, 1 - p - q])[0], 0), k, 10_000)
        for _ in range(runs)
    ]
    assert all(each.decided for each in counts)
    low, high = wilson(sum(each.leader == "a" for each in counts), runs, z=4)
    assert low < step_success(p, q, k) < high
    assert fmean(each.read for each in counts) == pytest.approx(expected_votes(p, q, k), rel=0.06)
    read, blank = sum(each.read for each in counts), sum(each.blank for each in counts)
    assert blank / read == pytest.approx(1 - p - q, abs=0.02)


def test_no_lead_is_enough_when_a_rival_is_stronger() -> None:
    with pytest.raises(BadInput, match="no lead is enough"):
        least_ahead(0.4, 0.5, 10, 0.9)
    assert step_success(0.4, 0.5, 50) < 1e-4


def test_the_ends_of_the_laws() -> None:
    assert least_ahead(1.0, 0.0, 10**6, 0.99) == 1
    assert step_success(1, 0, 1) == 1
    assert step_success(0, 1, 1) == 0
    assert job_success([0.5, 0.5, 1.0]) == 0.25
    for wrong in ({"p": 0.7, "q": 0.4, "k": 1}, {"p": 0.5, "q": 0.1, "k": 0}):
        with pytest.raises(BadInput):
            step_success(**wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInput):
        expected_votes(0, 0, 1)


def test_wilson_intervals() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(10, 10)[1] == pytest.approx(1)
    with pytest.raises(BadInput):
        wilson(3, 2)


def test_the_band_of_a_job_holds_what_its_own_p_gives() -> None:
    low, high = job_band(90, 100, 3, 200)
    assert low < step_success(0.9, 0.1, 3) ** 200 < high
    assert job_band(0, 5, 3, 10)[0] == 0
