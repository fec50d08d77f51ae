"""Devices that are gone before a run, for a few seconds of it, or for good: in virtual time."""

from functools import partial
from pathlib import Path

import pytest

from pockethive.core.report import Happening
from pockethive.simulation import Seat, SimulatedHive
from tests.simulation.virtual_village import (
    GOAL,
    assert_answered,
    assert_verified_by_others,
    by_id,
    village_seats,
)

IDLE = Seat(works=False, verifies=False)  # a device that stores and witnesses only


@pytest.mark.parametrize("seed", range(4))
def test_two_members_that_are_dead_when_a_run_starts_are_not_waited_for(
    seed: int, tmp_path: Path
) -> None:
    with SimulatedHive(seed) as hive:
        owner, *others = hive.start([*village_seats(tmp_path), IDLE, IDLE])
        for device in others[-2:]:
            hive.at(hive.now, partial(hive.kill, device))
        result = hive.run(owner, GOAL)
        assert_answered(result)
        assert result.to_json()["witnesses"] == {"K": 4, "q": 3, "f": 1}
        assert result.seconds < 30  # of 300


@pytest.mark.parametrize("length", [3.0, 6.0])
@pytest.mark.parametrize("seed", range(100, 110))
def test_a_partition_of_a_few_seconds_loses_nobodys_contribution(
    seed: int, length: float, tmp_path: Path
) -> None:
    with SimulatedHive(seed) as hive:
        owner, *others = hive.start(village_seats(tmp_path))

        def part() -> None:
            hive.part(others[: 1 + seed % 2])
            hive.at(hive.now + length, hive.heal)

        hive.when("offered", lambda _: hive.at(hive.now + (seed - 100) * 0.4, part))
        assert_answered(hive.run(owner, GOAL))


def test_a_device_whose_machines_are_gone_is_lost_though_its_node_answers(tmp_path: Path) -> None:
    with SimulatedHive(seed=3) as hive:
        owner, *_ = hive.start(village_seats(tmp_path))

        def crash(seen: Happening) -> None:
            by_id(hive, seen)._interpreter = None

        hive.when("claimed", crash)
        result = hive.run(owner, GOAL)
        assert result.status == "partial"
        assert "stopped answering" in result.missing[0].reason
        assert result.seconds < 60


@pytest.mark.parametrize("seed", range(4))
def test_a_device_that_stays_away_is_waited_for_a_few_seconds_only(
    seed: int, tmp_path: Path
) -> None:
    with SimulatedHive(seed) as hive:
        owner, *_ = hive.start(village_seats(tmp_path))
        killed: list[tuple[float, Happening]] = []

        def kill(seen: Happening) -> None:
            killed.append((hive.now, seen))
            hive.kill(by_id(hive, seen))

        hive.when("claimed", kill)
        result = hive.run(owner, GOAL)
        ((died, victim),) = killed
        assert result.status == "partial"
        assert [each.task for each in result.missing] == [victim.task]
        assert_verified_by_others(result)
        (lost,) = [line.at for line in hive.transcript if line.seen.what == "lost"]
        assert lost < died + 12  # six to notice, five to wait
