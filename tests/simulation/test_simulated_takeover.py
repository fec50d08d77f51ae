"""Whole devices in virtual time: an owner that is gone, and another device of the same person."""

import asyncio
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from pockethive.core.effects import Effect, RunSkill
from pockethive.core.events import Event
from pockethive.core.report import Happening, Outcome
from pockethive.dht.simulation import Link
from pockethive.elsewhere import Elsewhere, runs_elsewhere
from pockethive.gathering import gather_result
from pockethive.going_on import adopted
from pockethive.result import Result
from pockethive.simulation import SimulatedDevice, SimulatedHive
from tests.simulation.virtual_village import GOAL, assert_answered, team, village_seats


class Watched(SimulatedHive):
    """Notes who worked on what, and when."""

    def __init__(self, seed: int, link: Link) -> None:
        super().__init__(seed, link)
        self.worked: list[tuple[float, str]] = []

    def count(self, machine: str, event: Event, now: float, effects: tuple[Effect, ...]) -> None:
        super().count(machine, event, now, effects)
        self.worked += [(self.now, e.task.name) for e in effects if isinstance(e, RunSkill)]


async def go_on(device: SimulatedDevice, found: Elsewhere) -> Result:
    event = adopted(found, device.entries.open)
    ended: Future[Outcome] = Future()
    device._runs[event.run] = ended
    await device.roster.check()
    device.post(replace(event, wall=device._hive.world.clock()))
    return await gather_result(ended, device)


@pytest.mark.parametrize(("seed", "what"), [(1, "claimed"), (2, "made"), (3, "committed")])
def test_an_owner_that_is_gone_under_loss_is_followed_and_nothing_committed_is_redone(
    tmp_path: Path, seed: int, what: str
) -> None:
    seats = [replace(seat, shares_runs=True) for seat in village_seats(tmp_path)]
    seats.append(replace(seats[0], team=team()))  # another home of the same person
    with Watched(seed, Link(loss=0.05)) as hive:
        owner, *_, heir = hive.start(seats)
        stranger = hive.play(_joined(hive, replace(seats[-1], owner="somebody else")))
        gone: Future[float] = Future()

        def die(_: Happening) -> None:  # once others have heard that there is a run
            hive.at(hive.now + 1.5, kill)

        def kill() -> None:
            hive.kill(owner)
            gone.set_result(hive.now)

        hive.when(what, die)

        async def story() -> tuple[tuple[Elsewhere, ...], tuple[Elsewhere, ...], Result]:
            running = asyncio.ensure_future(owner.pursue(GOAL))
            await asyncio.wrap_future(gone)
            running.cancel()
            found = await runs_elsewhere(heir)
            return found, await runs_elsewhere(stranger), await go_on(heir, found[0])

        found, others, result = hive.play(story())
        assert [one.goal for one in found] == [GOAL]
        assert found[0].keeper == owner.id
        assert others == ()  # of another owner
        assert result.run_id == found[0].run
        assert_answered(result)
        before = {
            line.seen.task: line.at
            for line in hive.transcript
            if line.seen.what == "committed" and line.teller == owner.id
        }
        for at, task in hive.worked:
            assert at <= before.get(task, at), (seed, task)
        assert hive.play(runs_elsewhere(heir)) == ()  # it is this device's own now


async def _joined(hive: SimulatedHive, seat: object) -> SimulatedDevice:
    device = SimulatedDevice(hive, seat, (hive.devices[0].node.contact,))  # type: ignore[arg-type]
    hive.devices.append(device)
    await device.start()
    return device
