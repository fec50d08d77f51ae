"""Copies of outputs on devices that neither made nor judged them, in virtual time."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from pockethive.core.report import Outcome
from pockethive.simulation import Seat, SimulatedDevice, SimulatedHive
from tests.simulation.virtual_village import GOAL, assert_answered, village_seats

STORES = Seat(works=False, verifies=False)  # it stores, witnesses, and holds what it is asked to


def holding(devices: Iterable[SimulatedDevice], sha: str) -> set[str]:
    """Who has an output on its shelf."""
    return {device.id for device in devices if device.shelf.get(sha) is not None}


@pytest.mark.parametrize("seed", range(2))
def test_every_committed_output_is_on_the_shelves_of_three_devices(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[Outcome] = []
    finished = SimulatedDevice.finished

    def noted(device: SimulatedDevice, outcome: Outcome) -> None:
        outcomes.append(outcome)
        finished(device, outcome)

    monkeypatch.setattr(SimulatedDevice, "finished", noted)
    with SimulatedHive(seed) as hive:
        owner, *_ = hive.start([*village_seats(tmp_path), STORES])
        assert_answered(hive.run(owner, GOAL))
        (outcome,) = outcomes
        for report in outcome.tasks:
            assert report.output is not None
            assert len(report.holders) >= 3
            assert set(report.holders) <= holding(hive.devices, report.output)
