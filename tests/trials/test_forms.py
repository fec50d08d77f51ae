"""How steps are asked, and how votes are drawn."""

from collections import Counter
from math import log

import pytest

from pockethive.core.errors import BadInput
from pockethive.trials.families import FAMILIES
from pockethive.trials.family import HELD_FROM, Step, walk
from pockethive.trials.forms import (
    Calibration,
    asked,
    drawn,
    drawn_way,
    forms,
    forms_of,
    lot,
    shares,
    unasked,
)

STEP = Step("3.0.1", "next", {"number": "four"}, ("four", "five", "six"))


def test_a_step_is_put_behind_the_examples_of_a_way() -> None:
    for way in forms_of(STEP).ways:
        put, bare = asked(STEP, way), unasked(STEP, way)
        assert put.prompt.startswith(way.shots)
        assert put.prompt.count("four") == way.shots.count("four") + 1
        assert bare.prompt.count("N/A") == 1
        assert put.options == bare.options == (" four\n", " five\n", " six\n")
        assert f"{put.prompt} five\n" not in way.shots


@pytest.mark.parametrize("name", list(forms()))
def test_ways_differ_and_show_every_example(name: str) -> None:
    ways = forms()[name].ways
    assert len(ways) >= 4
    assert len({way.name for way in ways}) == len(ways)
    assert len({way.shots for way in ways}) == len(ways)


@pytest.mark.parametrize("name", ["tally", "labels", "timeline"])
def test_nothing_that_a_job_reads_is_an_example(name: str) -> None:
    kind = FAMILIES[name]
    for seed in (1, HELD_FROM + 1):
        for step in walk(kind, kind.job(seed, 60)):
            told = max(step.places.values(), key=len)
            assert not any(f" {told}\n" in way.shots for way in forms_of(step).ways)
            assert not any(f" {told}?" in way.shots for way in forms_of(step).ways)


def test_chances_are_a_softmax_of_what_is_left_of_the_prior() -> None:
    told, untold = [log(0.2), log(0.6)], [log(0.1), log(0.6)]
    assert shares(told, (), Calibration()) == pytest.approx((0.25, 0.75))
    assert shares(told, untold, Calibration(prior=1.0)) == pytest.approx((2 / 3, 1 / 3))
    assert shares(told, (), Calibration(sharpness=2.0)) == pytest.approx((0.1, 0.9))
    assert shares([-1000.0, -2000.0], (), Calibration()) == pytest.approx((1.0, 0.0))
    with pytest.raises(BadInput):
        shares(told, [0.0], Calibration(prior=1.0))


def test_a_vote_can_be_drawn_again_and_others_are_drawn_apart() -> None:
    def vote(seed: int, device: str, number: int) -> tuple[str, str | None]:
        chance = lot(seed, STEP, device, number)
        return drawn_way(STEP, chance).name, drawn(STEP, (0.2, 0.5, 0.3), chance)

    assert vote(1, "a", 0) == vote(1, "a", 0)
    votes = [vote(1, device, number) for device in "abcdefgh" for number in range(250)]
    options, ways = Counter(option for _, option in votes), Counter(way for way, _ in votes)
    assert [options[o] / 2000 for o in STEP.options] == pytest.approx([0.2, 0.5, 0.3], abs=0.04)
    even = 1 / len(forms_of(STEP).ways)
    assert all(abs(count / 2000 - even) < 0.04 for count in ways.values())
    pairs = Counter(votes)
    assert all(abs(pairs[w, "five"] / ways[w] - 0.5) < 0.1 for w in ways)


def test_a_vote_is_blank_when_the_best_option_has_too_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shy = Step("0", "shy", {}, ("a", "b"))
    told = {"shy": type(forms_of(STEP))(forms_of(STEP).ways, Calibration(least=0.7))}
    monkeypatch.setattr("pockethive.trials.forms.forms", lambda: told)
    assert drawn(shy, (0.65, 0.35), lot(1, shy, "d", 0)) is None
    assert drawn(shy, (0.75, 0.25), lot(1, shy, "d", 0)) in shy.options


def test_a_form_nobody_wrote_is_named() -> None:
    with pytest.raises(BadInput, match="no form 'sung'"):
        forms_of(Step("0", "sung", {}, ("a",)))
