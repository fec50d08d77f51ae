"""What theory says of verification, held against other formulae and against drawing it out."""

from math import comb
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bench.swarm.odds import Crowd, odds

DEVICES = 20


@given(policy=some.sampled_from(["none", "check", "recompute 2", "recompute 3"]))
def test_without_cheats_all_is_right_and_done_once_for_every_answer_needed(policy: str) -> None:
    found = odds(policy, Crowd(DEVICES, 0, "colluders", 6))
    assert found is not None
    assert found.wrong == 0.0
    assert found.executions == {"recompute 2": 2.0, "recompute 3": 3.0}.get(policy, 1.0)


@given(bad=some.integers(0, DEVICES), m=some.sampled_from([2, 3]))
def test_colluders_win_a_vote_when_they_are_most_of_those_who_could_be_asked(
    bad: int, m: int
) -> None:
    asked = 2 * m - 1
    ways = sum(comb(bad, j) * comb(DEVICES - bad, asked - j) for j in range(m, asked + 1))
    found = odds(f"recompute {m}", Crowd(DEVICES, bad, "colluders", 6))
    assert found is not None
    assert found.wrong == pytest.approx(ways / comb(DEVICES, asked))


@pytest.mark.parametrize("fault", ["random", "lazy", "colluders"])
@pytest.mark.parametrize("policy", ["check", "recompute 2", "recompute 3"])
def test_drawing_it_out_gives_the_same(policy: str, fault: str) -> None:
    rng, crowd = Random(f"{policy} {fault}"), Crowd(DEVICES, 7, fault, 6)
    runs = [drawn(policy, crowd, rng) for _ in range(20_000)]
    found = odds(policy, crowd)
    assert found is not None
    assert sum(wrong for wrong, _ in runs) / len(runs) == pytest.approx(found.wrong, abs=0.012)
    work = sum(done for _, done in runs) / len(runs)
    assert work == pytest.approx(found.executions, abs=0.03)


def test_where_there_is_one_label_nobody_can_guess_wrongly() -> None:
    for policy in ("none", "check", "recompute 2"):
        found = odds(policy, Crowd(DEVICES, 7, "random", 1))
        assert found is not None
        assert found.wrong == 0.0


def test_of_credit_and_old_answers_it_says_nothing() -> None:
    assert odds("adaptive", Crowd(DEVICES, 7, "colluders", 6)) is None
    assert odds("check", Crowd(DEVICES, 7, "stale", 6)) is None


def drawn(policy: str, crowd: Crowd, rng: Random) -> tuple[bool, int]:
    """One task played: whether what was accepted is wrong (not 0), and how often it was done."""
    devices, done = range(crowd.devices), 0
    if policy.startswith("recompute"):
        counts = dict[int, int]()
        for device in rng.sample(devices, crowd.devices):
            said, done = answered(device, crowd, rng), done + 1
            counts[said] = counts.get(said, 0) + 1
            if counts[said] == int(policy[-1]):
                return said != 0, done
    while True:
        maker, *judges = rng.sample(devices, 3)
        said, done = answered(maker, crowd, rng), done + 1
        if any(accepts(judge, said, crowd) for judge in judges):
            return said != 0, done


def answered(device: int, crowd: Crowd, rng: Random) -> int:
    """The first devices are the bad ones."""
    if device >= crowd.bad:
        return 0
    return 1 if crowd.fault == "colluders" else rng.randrange(crowd.labels)


def accepts(device: int, said: int, crowd: Crowd) -> bool:
    """What a judge says."""
    if device >= crowd.bad or crowd.fault == "random":
        return said == 0
    return said != 0 if crowd.fault == "colluders" else True
