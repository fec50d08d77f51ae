"""Devices vote on micro-steps: what they cast, and what is counted of it."""

import json
from typing import Any

import pytest

from pockethive.actors.skill import Tools, Work
from pockethive.actors.skills import CHECKERS, SKILLS
from pockethive.core.canonical import decode, encode
from pockethive.core.errors import BadInput
from pockethive.inference.testing import ScriptedModel
from pockethive.trials.families import FAMILIES

PARAMS: dict[str, Any] = {"job": "labels, seed 1, length 6", "at_once": 4}


def tools() -> Tools:
    return Tools(model=ScriptedModel(), documents=None, sign=bytes, verify=lambda *_: True)


def work(skill: str, inputs: dict[str, Any], device: str = "one", **params: Any) -> Work:
    told, name = {**PARAMS, **params}, f"round-2.{skill}"
    made = {f"round-{1 if key == 'last' else 2}.{key}": each for key, each in inputs.items()}
    return Work(task="t", name=name, skill=skill, params=told, inputs=made, device=device)


def cast(device: str, before: dict[str, Any], **params: Any) -> dict[str, Any]:
    made = SKILLS["cast_votes"].run(work("cast_votes", before, device, **params), tools()).value
    value: dict[str, Any] = decode(encode(made), 1 << 20)
    assert (
        CHECKERS["ballots"]
        .check(work("cast_votes", before, device, **params), value, tools())
        .accept
    )
    return value


def count(inputs: dict[str, Any], **params: Any) -> dict[str, Any]:
    value: dict[str, Any] = (
        SKILLS["count_votes"].run(work("count_votes", inputs, **params), tools()).value
    )
    assert CHECKERS["counted"].check(work("count_votes", inputs, **params), value, tools()).accept
    return value


def ballot(*votes: int, steps: int = 4) -> dict[str, Any]:
    """Somebody who votes alike on every step of the first round."""
    family = FAMILIES["labels"]
    job = family.job(1, 6)
    names = [step.id for step in family.steps(job, family.begin(job))][:steps]
    return {"v": 1, "votes": {name: list(votes) for name in names}, "asked": 1}


def test_a_job_is_done_in_rounds() -> None:
    first = count({"a": cast("one", {}, draws=3), "b": cast("two", {}, draws=3)}, ahead=2)
    assert len(first["progress"]["decided"]) == 4
    assert "answer" not in first
    before = {"last": first}
    votes = {"a": cast("one", before, draws=3), "b": cast("two", before, draws=3)}
    second = count({**votes, **before}, ahead=2)
    assert second["spent"]["steps"] == 6
    counts = [int(each.rpartition(" ")[2]) for each in second["answer"].split(", ")]
    assert sum(counts) == 6
    after = count({"a": cast("one", {"last": second}), "last": second})
    assert after["answer"] == second["answer"]
    assert after["spent"] == second["spent"] | {"model": after["spent"]["model"]}


def test_the_first_option_that_is_ahead_by_k_wins_whoever_comes_last() -> None:
    made = count({"a": ballot(0, 0), "b": ballot(1, 1), "c": ballot(0, 1)}, ahead=2)
    # read in turn: 0 1 0 0 - the fourth vote puts the first option ahead by two
    assert set(made["progress"]["decided"].values()) == {"animal"}
    assert made["spent"] == {"steps": 4, "votes": 16, "blank": 0, "undecided": 0, "model": 3}


def test_what_nobody_voted_for_is_asked_again() -> None:
    made = count({"a": ballot(-1, -1), "b": ballot(-1, -1)}, ahead=1)
    assert made["progress"]["decided"] == {}
    assert made["spent"]["blank"] == 16


def test_a_ballot_of_another_form_counts_for_nothing() -> None:
    odd = ballot(0, 0)
    odd["votes"] = {name: [9, 9] for name in odd["votes"]}
    made = count({"a": ballot(1, 1), "b": odd, "c": ballot(1, 1)}, ahead=2)
    assert set(made["progress"]["decided"].values()) == {"fruit"}


@pytest.mark.parametrize("odd", [None, 5, "votes", ["votes"], {"votes": None}, {"votes": {}}])
def test_neither_nonsense_nor_who_votes_more_often_silences_the_others(odd: Any) -> None:
    inputs = {"a": ballot(1, 1), "b": odd, "c": ballot(1, 1), "d": ballot(0, 0, 0, 0, 0, 0)}
    assert set(count(inputs, ahead=2)["progress"]["decided"].values()) == {"fruit"}


def test_what_a_device_casts_is_no_count_of_the_round_before() -> None:
    first = count({"a": ballot(0, 0)}, ahead=1)
    again = count({"a": ballot(1, 1), "b": first}, ahead=1)
    assert set(again["progress"]["decided"].values()) == {"fruit"}


@pytest.mark.parametrize("asked", [17, 2**53, True, -1, None])
def test_nobody_asked_his_model_more_often_than_votes_can(asked: Any) -> None:
    odd = {**ballot(0, 0), "asked": asked}
    assert not CHECKERS["ballots"].check(work("cast_votes", {}, draws=2), odd, tools()).accept
    made = count({"a": ballot(1, 1), "b": odd, "c": ballot(1, 1)}, ahead=2)
    assert made["spent"]["model"] == 2


@pytest.mark.parametrize("state", [{}, {"unit": None}, {"unit": "x"}, {"unit": -9, "made": 5}])
def test_a_state_that_is_none_of_the_job_is_refused_and_breaks_nothing(state: Any) -> None:
    last = count({"a": ballot(0, 0)}, ahead=1)
    last["progress"] = {**last["progress"], "state": state}
    with pytest.raises(BadInput):
        count({"a": ballot(0, 0), "last": last}, ahead=1)


def test_true_is_not_one() -> None:
    inputs = {"a": ballot(0, 0), "b": ballot(1, 0)}
    value = count(inputs, ahead=1)
    for name, said in value["spent"].items():
        odd = {**value, "spent": {**value["spent"], name: bool(said) if said < 2 else said}}
        if odd["spent"][name] is not said:
            task = work("count_votes", inputs, ahead=1)
            assert not CHECKERS["counted"].check(task, odd, tools()).accept


@pytest.mark.parametrize("spent", [None, 5, {"steps": 1}, {"steps": "1"}])
def test_a_count_of_another_form_is_refused(spent: Any) -> None:
    last = {**count({"a": ballot(0, 0)}, ahead=1), "spent": spent}
    with pytest.raises(BadInput, match="spent"):
        cast("one", {"last": last})


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"v": 1, "votes": {}, "asked": 1},
        ballot(0, 0, steps=3),
        ballot(0),
        ballot(0, 6),
        ballot(0, -2),
        {**ballot(0, 0), "v": 2},
        {**ballot(0, 0), "asked": "1"},
        {**ballot(0, 0), "votes": {name: [False, True] for name in ballot(0, 0)["votes"]}},
    ],
    ids=json.dumps,
)
def test_what_are_no_votes_is_rejected(value: dict[str, Any]) -> None:
    found = CHECKERS["ballots"].check(work("cast_votes", {}, draws=2), value, tools())
    assert not found.accept


def test_a_count_that_was_changed_is_rejected() -> None:
    inputs = {"a": ballot(0, 0), "b": ballot(1, 0)}
    value = count(inputs, ahead=1)
    name = next(iter(value["progress"]["decided"]))
    value["progress"]["decided"][name] = "fruit"
    assert (
        not CHECKERS["counted"].check(work("count_votes", inputs, ahead=1), value, tools()).accept
    )


def test_votes_are_drawn_by_salt_and_device_and_can_be_drawn_again() -> None:
    one = cast("one", {}, draws=20, salt="x")["votes"]
    assert one == cast("one", {}, draws=20, salt="x")["votes"]
    assert one != cast("two", {}, draws=20, salt="x")["votes"]
    assert one != cast("one", {}, draws=20, salt="y")["votes"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"job": "labels"}, "no job 'labels'"),
        ({"job": "novels, seed 1, length 3"}, "no family 'novels'"),
        ({"job": "labels, seed 1, length 0"}, "a job of length 0"),
        ({"at_once": 0}, "at_once is 0"),
        ({"draws": "many"}, "draws is 'many'"),
    ],
)
def test_params_that_make_no_job_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        SKILLS["cast_votes"].run(work("cast_votes", {}, **params), tools())
