"""Playing a scenario: devices are seated, runs begun, faults let loose, all in virtual time.

    report = play(load_scenario("churn"), seed=7)

Rule guarded here: one seed, one play. Whatever is drawn is drawn from the scenario's seed, in the
order of virtual time. Owners who wait for a run are never drawn as victims: their runs would end
with them, and that is no news.
"""

import asyncio
import contextlib
import gc
import random
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any

from pockethive.configs.scenario import Fault, Group, Scenario
from pockethive.core.errors import PocketHiveError
from pockethive.core.ledger import Ledger
from pockethive.core.report import Outcome
from pockethive.core.task import DeviceId
from pockethive.sim_acquaint import ACQUAINTED_FROM, acquaint
from pockethive.sim_people import Person, team_of
from pockethive.sim_report import Mark, Report, Tally, make_report
from pockethive.sim_watch import ScenarioHive
from pockethive.simulation import Seat, SimulatedDevice
from pockethive.virtual_staff import Pace

_YOUNG = 50_000  # new objects between two looks for garbage
GRACE_SECONDS = 60.0  # beyond its time limit: a run that has not ended by then never will


def play(scenario: Scenario, seed: int) -> Report:
    """Play a scenario to the end of its last run.

    Raises:
        Failure: the devices did not meet, or something failed where nobody waited for it.
    """
    with ScenarioHive(seed, scenario.link) as hive:
        game = _Game(scenario, hive)
        game.seat()
        before = Mark.of(hive)
        with _seldom_collected():
            outcomes = hive.play(game.play(), game.longest)
        return make_report(scenario, hive, before, outcomes, game.tally)


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    """What a thousand seated devices are made of is no garbage: it is not looked at again and again

    The process is as before afterwards.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class _Game:
    """One play of one scenario."""

    def __init__(self, scenario: Scenario, hive: ScenarioHive) -> None:
        self.scenario, self.hive = scenario, hive
        self.tally = Tally()
        self._dice = random.Random(f"scenario {hive.seed}")  # noqa: S311 - it repeats itself
        self._owners: list[SimulatedDevice] = []
        self._going: list[asyncio.Task[None]] = []  # in the order in which they were begun
        self._seated = 0
        self._begun = 0.0

    @property
    def longest(self) -> float:
        """Virtual seconds after which the last run has ended in any case."""
        runs = self.scenario.runs
        return runs.timeout + runs.every * runs.count + 2 * GRACE_SECONDS

    def seat(self) -> None:
        """Start the devices of the beginning."""
        scenario, hive = self.scenario, self.hive
        persons, seats = [], []
        first = scenario.groups[0]
        givers = min(first.owners, scenario.runs.count)
        for group in scenario.groups:
            for number in range(group.count):
                person, seat = self._newcomer(group, f"{group.name} {number % group.owners}")
                gives = group is first and number < givers
                seats.append(replace(seat, team=team_of(scenario.runs) if gives else None))
                persons.append(person)
        seats = [hive.seat(seat, person) for seat, person in zip(seats, persons, strict=True)]
        if len(seats) < ACQUAINTED_FROM:
            devices = hive.start(seats)
        else:
            devices = hive.play(acquaint(hive, seats), GRACE_SECONDS)
        for device, person in zip(devices, persons, strict=True):
            hive.know(device, person)
        self._owners = list(devices[:givers])

    def _newcomer(self, group: Group, owner: str) -> tuple[Person, Seat]:
        self._seated += 1
        person = Person(group=group, name=f"{group.name}-{self._seated}", seed=self.hive.seed)
        pace = Pace(work=group.work, check=group.check)
        return person, Seat(pace=pace, owner=owner)

    async def play(self) -> list[Outcome | None]:
        """Every run's outcome; None of one that never ended."""
        self._begun = self.hive.now
        for fault in self.scenario.faults:
            self._go(self._at(fault))
        for device in self.hive.devices:
            self._rest(device)
        runs = self.scenario.runs
        ended = [self._run(number, number * runs.every) for number in range(runs.count)]
        outcomes = await asyncio.gather(*ended)
        for task in self._going:
            task.cancel()
        for fate in await asyncio.gather(*self._going, return_exceptions=True):
            if isinstance(fate, Exception):
                raise fate
        return list(outcomes)

    async def _run(self, number: int, wait: float) -> Outcome | None:
        await asyncio.sleep(wait)
        device = self._owners[number % len(self._owners)]
        limit = self.scenario.runs.timeout + GRACE_SECONDS
        try:
            return await asyncio.wait_for(device.reach(f"run {number}"), limit)
        except TimeoutError:
            return None

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        self._going.append(asyncio.ensure_future(work))

    # faults

    async def _at(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        match fault.kind:
            case "kill":
                self._kill(self._drawn(fault.count or self._portion(fault.share)))
            case "witnesses":
                self._kill(self._witnesses()[: fault.count])
            case "churn":
                await self._churn(fault)
            case "part":
                self.hive.part(self._drawn(self._portion(fault.share)))
                await self._lasting(fault, self.hive.heal)
            case _:
                await self._lose(fault)

    async def _lasting(self, fault: Fault, undo: Callable[[], None]) -> None:
        if fault.lasts:
            await asyncio.sleep(fault.lasts)
            undo()

    async def _lose(self, fault: Fault) -> None:
        net = self.hive.world.net
        usual = self.scenario.link.loss
        net.link = replace(net.link, loss=fault.share)

        def calm() -> None:
            net.link = replace(net.link, loss=usual)

        await self._lasting(fault, calm)

    async def _churn(self, fault: Fault) -> None:
        """One device dies and another comes, so often that in a minute it is the share asked."""
        end = self.hive.now + (fault.lasts or self.longest)
        while fault.share:
            living = sum(device.alive for device in self.hive.devices)
            await asyncio.sleep(self._dice.expovariate(living * fault.share / 60))
            if self.hive.now >= end:
                return
            for victim in self._drawn(1):
                group = self.hive.people[victim.id].group
                self._kill([victim])
                self._go(self._come(group))

    async def _come(self, group: Group) -> None:
        """A new device of an owner of the group, through somebody who lives."""
        hive = self.hive
        owner = f"{group.name} {self._dice.randrange(group.owners)}"
        person, seat = self._newcomer(group, owner)
        through = self._dice.choice([device for device in hive.devices if device.alive])
        contact = (through.node.contact,)
        device = SimulatedDevice(hive, hive.seat(seat, person), contact)
        hive.devices.append(device)
        hive.know(device, person)
        try:
            await device.start()
        except PocketHiveError:
            self.tally.met_nobody += 1
            hive.kill(device)
            return
        self.tally.came += 1
        self._rest(device)

    def _rest(self, device: SimulatedDevice) -> None:
        if self.hive.people[device.id].group.sleeps and device not in self._owners:
            self._go(self._sleep(device))

    async def _sleep(self, device: SimulatedDevice) -> None:
        """Out of reach for a part of every so many seconds; where in that it is now is drawn."""
        hive, group = self.hive, self.hive.people[device.id].group
        left = self._dice.uniform(0.0, group.every)  # of a round that begins with being awake
        await asyncio.sleep(max(0.0, left - group.sleeps))
        rest = min(left, group.sleeps)
        while device.alive:
            hive.asleep.add(device.address)
            await asyncio.sleep(rest)
            hive.asleep.discard(device.address)
            await asyncio.sleep(group.every - group.sleeps)
            rest = group.sleeps

    def _portion(self, share: float) -> int:
        return round(share * sum(device.alive for device in self.hive.devices))

    def _drawn(self, count: int) -> list[SimulatedDevice]:
        """So many living devices, none of which waits for a run."""
        owners = set(self._owners)
        others = [device for device in self.hive.devices if device.alive and device not in owners]
        return self._dice.sample(others, min(count, len(others)))

    def _kill(self, devices: list[SimulatedDevice]) -> None:
        for device in devices:
            self.tally.died += 1
            self.hive.kill(device)

    def _witnesses(self) -> list[SimulatedDevice]:
        """Living witnesses of tasks of the first owner's runs, but devices that wait for a run."""
        ledger = self._owners[0].machines["ledger"]
        assert isinstance(ledger, Ledger)
        named: dict[DeviceId, None] = {}
        for run in ledger._runs.values():  # noqa: SLF001 - the simulator sees everything
            for state in run.tasks.values():
                named.update(dict.fromkeys(state.task.committee.witnesses))
        by_id = {device.id: device for device in self.hive.devices}
        devices = [by_id[name] for name in named if name in by_id]
        return [device for device in devices if device.alive and device not in self._owners]
