"""Scenario files: what they may say, and how every fault is named at its place."""

import pytest

from pockethive.configs.scenario import (
    Fault,
    Group,
    Wire,
    load_scenario,
    read_scenario,
    shipped_scenarios,
)
from pockethive.core.errors import ConfigError

WHOLE = b"""
scenario: night
description: phones sleep
seed: 9
link: {latency: 40ms, jitter: 0s, loss: 2.5%}
devices:
  - {name: computers, count: 6, owners: 3, work: 1.5s, check: 200ms}
  - {name: phones, count: 4, sleeps: 20s, every: 1m, cheats: 50%, colludes: yes, races: yes}
runs: {count: 3, tasks: 12, shape: fan, verdicts: 2, every: 5s, timeout: 2m, lease: 10s}
faults:
  - {at: 1s, kill: 2}
  - {at: 2s, kill: 10%}
  - {at: 3s, part: 40%, for: 20s}
  - {churn: 20%}
  - {at: 4s, witnesses: 2}
"""


def test_a_scenario_is_read_whole() -> None:
    scenario = read_scenario(WHOLE, "night.yaml")
    assert (scenario.name, scenario.seed, scenario.devices) == ("night", 9, 10)
    assert scenario.link == Wire(latency=0.04, jitter=0.0, loss=0.025)
    computers, phones = scenario.groups
    assert (computers.owners, computers.work, computers.check) == (3, 1.5, 0.2)
    assert (phones.sleeps, phones.every, phones.cheats, phones.races) == (20, 60, 0.5, True)
    assert (scenario.runs.shape, scenario.runs.verdicts, scenario.runs.timeout) == ("fan", 2, 120)
    assert scenario.faults == (
        Fault(kind="kill", at=1, count=2),
        Fault(kind="kill", at=2, share=0.1),
        Fault(kind="part", at=3, lasts=20, share=0.4),
        Fault(kind="churn", share=0.2),
        Fault(kind="witnesses", at=4, count=2),
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("devices: [{count: 1}]", "bad.yaml:1:10: 1 devices in all, they must be from 2 to 5000"),
        ("devices: [{count: 4, owners: 9}]", "bad.yaml:1:30: 9 owners of 4 devices"),
        ("devices: [{count: 4, cheat: 9%}]", "bad.yaml:1:22: a group of devices has no setting"),
        ("devices: [{count: 4, cheats: 0.2}]", "cheats must be a share, found '0.2'"),
        ("devices: [{count: 4, cheats: 120%}]", "cheats must be a share, found '120%'"),
        ("devices: [{count: 4, work: fast}]", "work must be a duration, found 'fast'"),
        ("devices: [{count: 4, sleeps: 2m}]", "that sleeps 120s of 60s is never there"),
        ("devices: [{count: 2}, {count: 2}]", "two groups have one name"),
        ("runs: {tasks: 5}", "bad.yaml:1:1: a scenario needs 'devices'"),
        ("devices: [{count: 4}]\nruns: {tasks: 201}", "tasks is 201, it must be from 1 to 200"),
        ("devices: [{count: 4}]\nruns: {shape: chain, tasks: 41}", "it must be from 1 to 40"),
        ("devices: [{count: 4}]\nruns: {count: 999, tasks: 99}", "98901 tasks in all, at most"),
        ("devices: [{count: 4}]\nfaults: [{at: 1s}]", "bad.yaml:2:10: a fault is one of kill"),
        ("devices: [{count: 4}]\nfaults: [{kill: 1, loss: 2%}]", "a fault is one of"),
        ("devices: [{count: 4}]\nfaults: [{at: 1s, kill: many}]", "kill must be a share"),
        ("devices: [{count: 4}]\nlink: {latency: 11s}", "it must be from 0s to 10s"),
    ],
)
def test_every_fault_of_a_scenario_is_named_at_its_place(line: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_scenario(line.encode(), "bad.yaml")
    assert told in str(error.value)


def test_every_shipped_scenario_is_whole_and_says_what_it_shows() -> None:
    names = shipped_scenarios()
    assert len(names) == 11
    for name in names:
        scenario = load_scenario(name)
        assert scenario.name == name
        assert scenario.description


def test_a_name_that_is_nearly_right_is_helped() -> None:
    with pytest.raises(ConfigError, match="did you mean 'churn'"):
        load_scenario("chrun")


def test_a_scenario_can_be_made_larger_with_its_groups_in_proportion() -> None:
    scenario = read_scenario(WHOLE, "night.yaml").sized(100, 1000)
    assert [group.count for group in scenario.groups] == [60, 40]
    assert [group.owners for group in scenario.groups] == [30, 10]
    assert (scenario.runs.count, scenario.runs.tasks) == (5, 200)
    few = scenario.sized(None, 2)
    assert (few.runs.count, few.runs.tasks) == (2, 1)


@pytest.mark.parametrize(("devices", "tasks"), [(1, None), (6000, None), (None, 0), (None, 10**6)])
def test_a_size_that_cannot_be_played_is_refused(devices: int | None, tasks: int | None) -> None:
    with pytest.raises(ConfigError, match="--"):
        read_scenario(WHOLE, "night.yaml").sized(devices, tasks)


def test_groups_are_honest_unless_they_say_otherwise() -> None:
    group = Group(count=3)
    assert (group.cheats, group.sleeps) == (0, 0)
    assert (group.colludes, group.lazy, group.races) == (False, False, False)
