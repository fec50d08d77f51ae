"""Whole devices in virtual time: an owner that dies, and comes back with its journal alone."""

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from pockethive.actors.interpreter import Journal
from pockethive.core.effects import Effect, RunSkill
from pockethive.core.events import Event
from pockethive.core.report import Happening, Outcome
from pockethive.core.task import RunId
from pockethive.dht.simulation import Link
from pockethive.gathering import gather_result
from pockethive.going_on import GoingOn
from pockethive.journal import FILE, RunJournal
from pockethive.result import Result
from pockethive.simulation import Seat, SimulatedDevice, SimulatedHive
from tests.simulation.virtual_village import GOAL, assert_answered, village_seats

AWAY_SECONDS = 20.0  # longer than any lease


class LastingHive(SimulatedHive):
    """A hive whose first device keeps a journal on disk."""

    def __init__(self, seed: int, link: Link, folder: Path) -> None:
        super().__init__(seed, link)
        self.folder, self.revives = folder, ""
        self.owner = ""
        self.book: RunJournal | None = None
        self.worked: list[tuple[float, str, int]] = []

    def journal_of(self, device: str) -> Journal:
        self.owner = self.owner or device
        if device != self.owner:
            return super().journal_of(device)
        revives = RunId(self.revives) if self.revives else None
        self.book = RunJournal(self.folder / FILE, revives=revives)
        return self.book

    def count(self, machine: str, event: Event, now: float, effects: tuple[Effect, ...]) -> None:
        super().count(machine, event, now, effects)
        for each in effects:
            if isinstance(each, RunSkill):
                self.worked.append((self.now, each.task.name, each.epoch))

    async def again(self, dead: SimulatedDevice, seat: Seat) -> Result:
        """The device starts anew: the same key and address, its journal, and no other memory."""
        ground = dead._ground
        self._dead.discard(dead.address)
        made = (ground.node, ground.identity)
        setattr(self.world, "newcomer", lambda _settings: made)  # noqa: B010 - once, for this one
        device = SimulatedDevice(self, seat, (self.devices[1].node.contact,))
        self.devices.append(device)
        await device.start()
        return await self.go_on(device)

    async def go_on(self, device: SimulatedDevice) -> Result:
        going, run, ended = GoingOn(self.book), RunId(self.revives), Future[Outcome]()
        going.check(run)
        device._runs[run] = ended
        await device.roster.check()
        events, outcomes = going.due([run], self.world.clock())
        for event in events:
            device.post(event)
        for outcome in outcomes:
            device.finished(outcome)
        return await gather_result(ended, device)


@pytest.mark.parametrize(("seed", "what"), [(1, "claimed"), (2, "made"), (3, "committed")])
def test_an_owner_killed_under_loss_goes_on_and_redoes_nothing(
    tmp_path: Path, seed: int, what: str
) -> None:
    committed: dict[str, float] = {}
    with LastingHive(seed, Link(loss=0.05), tmp_path) as hive:
        seats = village_seats(tmp_path)
        owner, *_ = hive.start(seats)
        died: Future[None] = Future()

        def die(_: Happening) -> None:
            hive.revives = next(iter(owner._runs))
            hive.kill(owner)
            died.set_result(None)

        hive.when(what, die)

        async def story() -> Result:
            import asyncio

            running = asyncio.ensure_future(owner.pursue(GOAL))
            await asyncio.wrap_future(died)
            await asyncio.sleep(AWAY_SECONDS)
            running.cancel()
            committed.update(
                (line.seen.task, line.at)
                for line in hive.transcript
                if line.seen.what == "committed"
            )
            return await hive.again(owner, replace(seats[0]))

        result = hive.play(story())
        assert_answered(result)
        assert result.run_id == hive.revives
        for at, task, _ in hive.worked:
            assert task not in committed or at <= committed[task], (seed, task)
        assert hive.book is not None
        (note,) = hive.book.runs()
        assert note.resumable  # whoever asked has not said yet that it has the result
