"""Devices of a run that are killed and started again, or fall asleep: real processes on loopback.

`python -m bench.killed_devices` is the same at full size.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.killed_devices import GOAL, faults_of_run
from bench.lattice import Seat, lattice, owner, right_outputs, seats
from pockethive.core.report import Happening
from pockethive.device import Device
from pockethive.result import Result

pytestmark = pytest.mark.processes

ROWS, WIDTH = 4, 5
PATIENCE = 60.0


@dataclass(frozen=True)
class Scene:
    """An owner's device, three others in processes of their own, and what happens in a run."""

    device: Device
    seats: list[Seat]
    happened: asyncio.Queue[Happening]
    folder: Path

    async def until(self, what: str, task: str = "", *, but: str = "") -> Happening:
        """The next happening of that kind, of a task if one is named; `but` by that device."""
        async with asyncio.timeout(PATIENCE):
            while True:
                seen = await self.happened.get()
                if seen.what in what and task in ("", seen.task) and seen.device != but:
                    return seen

    def seat(self, device: str | None) -> Seat:
        return next(seat for seat in self.seats if seat.device == device)

    async def run(self) -> Result:
        return await asyncio.wrap_future(self.device.submit(GOAL))

    async def faults(self, result: Result) -> list[str]:
        right = right_outputs(ROWS, WIDTH, GOAL)
        return await faults_of_run(right, self.device, result, self.folder)


@contextlib.asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    loop, happened = asyncio.get_running_loop(), asyncio.Queue[Happening]()
    team = lattice(ROWS, WIDTH, ", lease: 3s, timeout: 90s")
    async with owner(folder / "owner", team) as device, seats(folder, 3) as those:
        for seat in those:
            await seat.start([device.contact])
        await asyncio.to_thread(device.expect, [seat.device for seat in those])

        def saw(seen: Happening) -> None:
            loop.call_soon_threadsafe(happened.put_nowait, seen)

        device.subscribe(saw)
        yield Scene(device, those, happened, folder)


async def test_devices_killed_in_the_middle_of_their_work_cost_the_run_nothing_but_time(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as hive:
        run = asyncio.create_task(hive.run())
        for _ in range(2):
            victim = hive.seat((await hive.until("claimed")).device)
            await victim.kill()
            await victim.start([hive.device.contact])
            while not hive.happened.empty():  # what was claimed meanwhile, by whomever
                hive.happened.get_nowait()
        result = await run
        assert await hive.faults(result) == []


async def test_a_device_that_sleeps_longer_than_its_lease_neither_stops_a_run_nor_spoils_it(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as hive:
        run = asyncio.create_task(hive.run())
        asleep = await hive.until("claimed")
        sleeper = hive.seat(asleep.device)
        sleeper.signal(signal.SIGSTOP)
        # Nobody else gets the lease before it has ended; an output that others had is committed.
        await hive.until("claimed committed", asleep.task, but=sleeper.device)
        sleeper.signal(signal.SIGCONT)
        result = await run
        assert await hive.faults(result) == []
        hands = hive.device.parts._hands
        assert hands is not None
        assert asleep.device is not None
        awake = hive.device.loop_thread.submit(hands._answers(asleep.device))
        assert await asyncio.wrap_future(awake) is not None
