"""Contested tasks in bad company: a few histories, and every mutant is caught by one of its own.

`python -m bench.histories` plays them by the hundred.
"""

import pytest

from bench.histories.contest import Contest, Rules
from bench.histories.mutants import MUTANTS

# For each mutant, the first history that it broke last time. Any change of the protocol changes
# what happens in a history, so some after it are tried, too.
CAUGHT = {
    "no drift margin": 10,
    "forgetful witness": 3,
    "quorum too small": 0,
    "commit without epoch check": 2,
    "replacement without seal": 0,
    "replacement without waiting": 1,
    "nothing carried over": 1,
}


TRIED = 16


# In 6 a word that gives a lease back comes two generations of the task later. In 105 five devices
# are shown an accepted value, one after the other.
@pytest.mark.parametrize("seed", [0, 1, 6, 105])
def test_leases_never_overlap_and_one_output_is_committed_whatever_happens(seed: int) -> None:
    history = Contest(seed, Rules()).play()
    assert not history.faults, f"python -m bench.histories --seed {seed} --count 1 --mutants 0"
    assert len(history.leases) > 10
    assert history.replaced


def test_one_seed_is_one_history() -> None:
    first, second = (Contest(7, Rules()).play() for _ in range(2))
    assert list(map(str, first.leases)) == list(map(str, second.leases))
    assert first.commits == second.commits


@pytest.mark.parametrize("name", MUTANTS)
def test_a_protocol_without_one_of_its_rules_is_caught(name: str) -> None:
    first = CAUGHT[name]
    with MUTANTS[name]() as rules:
        assert any(Contest(seed, rules).play().faults for seed in range(first, first + TRIED))
