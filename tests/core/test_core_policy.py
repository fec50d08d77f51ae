"""Verification policy, rendezvous order, committees."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import to_text
from pockethive.core.errors import GraphError
from pockethive.core.graph import TaskGraph
from pockethive.core.labels import Label
from pockethive.core.people import Past, verifiers, workers
from pockethive.core.rendezvous import choose_committee, rank
from pockethive.core.task import Check, PlannedTask, Policy, Verification
from pockethive.core.verification import check_plan, independent, rejected, satisfied
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    device,
    edge,
    make_task,
    member,
    output,
    planned,
    sha,
    verdict,
)

TASK = make_task()
WORKER = DEVICES[1]
MADE = output(TASK.id, WORKER)
STRANGER = to_text(bytes(32))


@pytest.mark.parametrize(
    ("wanted", "yes", "no", "enough", "refused"),
    [
        (1, 0, 0, False, False),
        (1, 1, 0, True, False),
        (1, 0, 1, False, False),
        (1, 1, 1, True, False),
        (1, 0, 2, False, True),
        (2, 1, 0, False, False),
        (2, 2, 0, True, False),
        (2, 1, 1, False, False),
        (2, 1, 2, False, False),
        (2, 1, 3, False, True),
        (3, 3, 1, True, False),
        (3, 1, 2, False, False),
    ],
)
def test_verdicts_are_counted(wanted: int, yes: int, no: int, enough: bool, refused: bool) -> None:
    task = make_task(verdicts=wanted)
    made = output(task.id, WORKER)
    said = [verdict(made, DEVICES[2 + n]) for n in range(yes)]
    said += [verdict(made, DEVICES[2 + yes + n], accept=False) for n in range(no)]
    assert satisfied(task, made, said) is enough
    assert rejected(task, made, said) is refused


def test_a_yes_without_every_check_is_a_no() -> None:
    checks = (Check(Policy.CHECK, "quotation"), Check(Policy.CHOOSE, "fit"))
    task = replace(TASK, verification=Verification(checks=checks))
    said = (verdict(MADE, DEVICES[2]), verdict(MADE, DEVICES[3]))
    assert not satisfied(task, MADE, said)
    assert rejected(task, MADE, said)


def test_an_output_that_stays_on_its_device_is_attested_not_verified() -> None:
    task = make_task(label=Label.DEVICE, place=WORKER)
    assert satisfied(task, output(task.id, WORKER), ())
    assert not satisfied(task, output(task.id, DEVICES[2]), ()), "placed elsewhere"
    unchecked = replace(TASK, verification=Verification(checks=()))
    assert not satisfied(unchecked, MADE, (verdict(MADE, DEVICES[2]),))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"verification": Verification(checks=())}, "no checks"),
        (
            {
                "label": Label.DEVICE,
                "verification": Verification(checks=(Check(Policy.RECOMPUTE, "ranking"),)),
            },
            "recomputed elsewhere",
        ),
        ({"verification": Verification(checks=TASK.verification.checks, verdicts=4)}, "at most 3"),
    ],
)
def test_plans_that_cannot_be_verified_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(GraphError, match=told):
        check_plan(TaskGraph((planned("a", **changes),)))


def test_a_join_over_too_many_sources_is_refused() -> None:
    names = [f"a-rather-long-step-name-{number}" for number in range(40)]
    tasks: list[PlannedTask] = [planned(name) for name in names]
    with pytest.raises(GraphError, match="join them in stages"):
        check_plan(TaskGraph((*tasks, planned("join", (edge(*names),)))))


def test_a_strangers_friend_never_judges_the_stranger() -> None:
    own, friend = member(DEVICES[2]), member(DEVICES[3], STRANGER)
    stranger = member(DEVICES[4], STRANGER)
    assert not independent(OWNER_KEY, stranger, friend)
    assert independent(OWNER_KEY, stranger, own)
    assert independent(OWNER_KEY, own, member(DEVICES[5])), "the owner's devices may"
    assert not independent(OWNER_KEY, own, own)


def test_who_can_work_and_who_can_verify() -> None:
    members = [member(who) for who in DEVICES[:5]]
    lost = {DEVICES[3]}
    fit = workers(TASK, members, lost, Past(blamed=(DEVICES[0],)))
    assert set(fit) == {DEVICES[n] for n in (0, 1, 2, 4)}
    assert fit[-1] == DEVICES[0], "who failed before comes last"
    assert workers(make_task(place=WORKER), members, lost) == (WORKER,)
    assert workers(replace(TASK, needs_model=True), members, lost) == ()
    assert set(verifiers(TASK, members, lost, MADE)) == {DEVICES[n] for n in (0, 2, 4)}
    with_model = [*members, member(DEVICES[5], model=sha("m"))]
    for policy in (Policy.CHOOSE, Policy.JUDGE, Policy.RESCORE):
        needs = replace(TASK, verification=Verification(checks=(Check(policy, "quotation"),)))
        assert verifiers(needs, with_model, lost, MADE) == (DEVICES[5],)


@given(st.integers(2, 12), st.integers(0, 11))
def test_a_device_that_leaves_changes_nothing_among_the_others(count: int, leaver: int) -> None:
    devices = [device(number) for number in range(count)]
    gone = devices[leaver % count]
    before = rank(TASK.id, devices)
    after = rank(TASK.id, [one for one in reversed(devices) if one != gone])
    assert [one for one in before if one != gone] == list(after)


def test_first_places_are_spread_over_the_devices() -> None:
    devices = [device(number) for number in range(5)]
    first = [rank(make_task(f"t-{n}").id, devices)[0] for n in range(200)]
    assert all(20 <= first.count(one) <= 60 for one in devices)


@pytest.mark.parametrize(
    ("count", "witnesses", "quorum", "liars"),
    [
        (1, 1, 1, 0),
        (2, 1, 1, 0),
        (3, 3, 2, 0),
        (4, 4, 3, 1),
        (6, 4, 3, 1),
        (7, 7, 5, 2),
        (30, 7, 5, 2),
    ],
)
def test_a_committee_is_as_large_as_the_hive_allows(
    count: int, witnesses: int, quorum: int, liars: int
) -> None:
    members = [member(device(number)) for number in range(count)]
    committee = choose_committee(members, device(0), OWNER_KEY)
    assert (len(committee.witnesses), committee.quorum, committee.liars) == (
        witnesses,
        quorum,
        liars,
    )
    assert committee == choose_committee(reversed(members), device(0), OWNER_KEY)


def test_three_devices_of_different_owners_are_no_committee() -> None:
    members = [member(device(0)), member(device(1)), member(device(2), STRANGER)]
    assert choose_committee(members, device(0), OWNER_KEY).witnesses == (device(0),)


def test_distinct_owners_come_first_in_a_committee() -> None:
    members = [member(device(n), to_text(bytes([n // 3]) * 32)) for n in range(12)]
    committee = choose_committee(members, device(0), to_text(bytes(32)))
    owners = {one.device: one.owner_key for one in members}
    assert len({owners[witness] for witness in committee.witnesses}) == 4
