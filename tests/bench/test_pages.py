"""The page of benchmarks is what the records say: no more is claimed than was measured."""

from pathlib import Path
from typing import Any

import pytest

from bench.swarm import record
from bench.swarm.record import Record, best, load
from bench.swarm.steps_page import carries, hopeless, verdict


def lead(right: int) -> dict[str, Any]:
    return {"resampled": {"right": right, "of": 100, "interval": (0, 1)}}


def family(whole: int, one: int, leads: dict[str, int]) -> dict[str, Any]:
    return {
        "plan": {"long": 200},
        "steps": 1_736,
        "states": 10,
        "p": {"hopeless": 0},
        "hopeless": [],
        "controls": {"whole": {"right": whole, "of": 20}, "one_vote": {"right": one, "of": 100}},
        "leads": {k: lead(right) for k, right in leads.items()},
    }


def test_a_family_carries_from_the_least_k_that_does_in_more_than_95_of_100() -> None:
    assert carries(family(0, 0, {"1": 0, "4": 95, "5": 96, "6": 100})) == 5


@pytest.mark.parametrize(("whole", "one"), [(1, 0), (0, 5)])
def test_a_family_whose_control_succeeds_carries_nothing(whole: int, one: int) -> None:
    found = family(whole, one, {"1": one, "5": 100})
    assert carries(found) == 0
    assert "not carried" in verdict({"sums-by-counting": found})


def test_where_one_vote_is_enough_the_page_does_not_call_it_the_swarms_merit() -> None:
    found = family(0, 99, {"1": 99, "5": 100})
    assert carries(found) == 0
    assert "needs no vote" in verdict({"tally": found})


def test_what_no_vote_helps_in_is_named() -> None:
    found = family(0, 0, {"5": 0}) | {"hopeless": [{"places": {"item": "crib"}, "right": "x"}]}
    assert "labels: crib" in hopeless({"labels": found})
    assert hopeless({"labels": found | {"hopeless": []}}) == ""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    return tmp_path


def made(*, full: bool) -> Record:
    told = {"a": [1, 2.5, None, "é"]}
    return Record(name="some", full=full, seed=3, results=told, seconds=1.0, cpu_seconds=2.0)


def test_a_record_is_read_as_it_was_kept_and_a_full_one_comes_first(results: Path) -> None:
    assert best("some") is None
    quick = made(full=False)
    assert load(quick.write()) == quick
    assert best("some") == quick
    full = made(full=True)
    full.write()
    assert best("some") == full
    assert sorted(path.name for path in results.iterdir()) == ["some.full.json", "some.json"]


def test_a_record_of_another_version_is_refused(results: Path) -> None:
    path = made(full=False).write()
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match="format 2, this program reads 1"):
        load(path)
