"""Devices that leave in the middle of a run: they end what they hold, or give it back at once."""

import asyncio
from pathlib import Path

import pytest

from pockethive.core.report import Happening
from pockethive.drain import Drained, drain
from pockethive.simulation import SimulatedDevice, SimulatedHive
from tests.simulation.virtual_village import (
    GOAL,
    assert_answered,
    by_id,
    village_seats,
)


def leave_at_rank(hive: SimulatedHive, seconds: float) -> list[asyncio.Task[Drained]]:
    """Whoever claims the ranking leaves."""
    leaving: list[asyncio.Task[Drained]] = []

    def saw(seen: Happening) -> None:
        if seen.task == "rank":
            device: SimulatedDevice = by_id(hive, seen)
            leaving.append(hive.world.loop.create_task(drain(device, seconds)))
        else:
            hive.when("claimed", saw)

    hive.when("claimed", saw)
    return leaving


@pytest.mark.parametrize("seed", range(2))
def test_a_patient_device_ends_what_it_holds(seed: int, tmp_path: Path) -> None:
    with SimulatedHive(seed) as hive:
        owner, *_ = hive.start(village_seats(tmp_path))
        leaving = leave_at_rank(hive, 30.0)
        result = hive.run(owner, GOAL)
        assert_answered(result)
        assert {task.attempts for task in result.tasks} == {1}
        drained = hive.play(asyncio.wait_for(leaving[0], 60))
        assert drained.given_up == 0
        assert drained.handed_over > 0
        assert len(owner.roster.members) == 3  # it said goodbye


@pytest.mark.parametrize("seed", range(2))
def test_a_device_in_a_hurry_gives_its_lease_back_and_another_does_the_work(
    seed: int, tmp_path: Path
) -> None:
    with SimulatedHive(seed) as hive:
        owner, *_ = hive.start(village_seats(tmp_path))
        leaving = leave_at_rank(hive, 0.0)
        result = hive.run(owner, GOAL)
        assert_answered(result)
        (ranked,) = [task for task in result.tasks if task.name == "rank"]
        assert ranked.attempts == 2
        assert "this device is leaving" in " ".join(ranked.story)
        assert result.seconds < 40  # nobody waited for a lease to run out
        assert leaving[0].result().given_up == 1
        assert leaving[0].result().handed_over == 0
