"""A table at which the run's owner dies for good, and another device of the same person goes on."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pockethive.core.claim import claim_id
from pockethive.core.effects import Effect, KeepBlob
from pockethive.core.entry import Entry, Kind
from pockethive.core.events import Event, MembersChanged, RunAdopted
from pockethive.core.labels import Label
from pockethive.core.replay import MACHINES
from pockethive.core.run_record import RunRecord
from pockethive.core.table_plan import TablePlan
from pockethive.core.table_seat import seat
from pockethive.core.task import DeviceId, RunId
from pockethive.core.testing import WALL
from tests.core.core_play import DEVICES, certificate_of
from tests.core.journal_play import JournalTable, commits, plan

FOUND_SECONDS = 2.0  # how long nobody notices that the owner is gone


def own_plan(seed: str, count: int = 5, **changes: Any) -> TablePlan:
    """Devices of one person, each with a certificate."""
    given = {device: certificate_of(device) for device in DEVICES[:count]}
    return plan(seed, count, **{"certificates": given, **changes})


class TakeoverTable(JournalTable):
    """To look at: `outcomes` by device, `adopted` (who was told to go on), `stood`.

    `cut`: the row after which the owner is gone. `asleep`: it is not dead, and wakes after so many
    seconds. `heirs`: the devices that go on with the run, all at once. `then`: a device that goes
    on in their place, after so many seconds in which they have died, too.
    """

    def __init__(
        self,
        plan: TablePlan,
        cut: int,
        heirs: tuple[DeviceId, ...] = DEVICES[1:2],
        asleep: float = 0.0,
        then: tuple[DeviceId, float] | None = None,
    ) -> None:
        super().__init__(plan, frozenset((cut,)) if cut else frozenset())
        self.heirs, self.asleep, self.loses = heirs, asleep, not asleep
        self.then, self._killed = then, float("inf")
        self.adopted: list[DeviceId] = []
        self.gone_at = float("inf")
        self._record: RunRecord | None = None

    def _alive(self, device: DeviceId) -> bool:
        gone = device == self.owner and self.now >= self.gone_at and not self.asleep
        gone = gone or (device in self.heirs and self.now >= self._killed)
        return not gone and super()._alive(device)

    def _crash(self) -> None:
        """The owner's machine is gone with its home, or sleeps; somebody notices."""
        self._dying, self.crashes = False, self.crashes + 1
        self.gone_at = self.now
        self.stood |= commits(self)
        if self.asleep:
            span = ((self.now, self.now + self.asleep),)
            self.plan = replace(self.plan, sleeps={**self.plan.sleeps, self.owner: span})
        for heir in self.heirs:
            self._at(self.now + FOUND_SECONDS, lambda heir=heir: self.adopt(heir))  # type: ignore[misc]
        if self.then is not None:
            last, seconds = self.then
            self._killed = self.now + seconds
            self._at(self._killed, lambda: self._follow(last))

    def _follow(self, last: DeviceId) -> None:
        self.stood |= commits(self)
        self.gone_at, self.adopted = self.now, []
        self.adopt(last)

    def claim(self) -> Entry | None:
        """The run's signed claim, as it stands."""
        run = self.run_id
        stands = () if run is None else self.entries.get(claim_id(run), {}).values()
        return next((entry for entry in stands if entry.kind is Kind.TASK), None)

    @property
    def run_id(self) -> RunId | None:
        """The run, once its record was kept."""
        return None if self._record is None else self._record.run

    def adopt(self, heir: DeviceId) -> None:
        """Tell a device of the same person to go on, if there is what it needs."""
        claim, record = self.claim(), self._record
        if claim is None or record is None:
            return
        self.adopted.append(heir)
        others = tuple(d for d in self.plan.devices if d != heir)
        made = seat(replace(self.plan, devices=(heir, *others)), heir, self._verify)
        added = tuple(machine for machine in made if machine.name in MACHINES)
        self._machines[heir] = (*added, *self._machines[heir])
        for machine in MACHINES:
            self.feed(heir, MembersChanged(members=tuple(self._known)), machine)
        self.feed(
            heir,
            RunAdopted(
                run=record.run,
                goal=record.goal,
                wall=WALL + self.now,
                graph=record.graph,
                withheld=record.withheld,
                claim=claim,
            ),
        )

    def _perform(self, device: DeviceId, machine: str, effect: Effect) -> None:
        if isinstance(effect, KeepBlob) and effect.label == Label.PEOPLE.value:
            self._record = RunRecord.decode(effect.data)
        super()._perform(device, machine, effect)

    def ended(self, runs: int) -> bool:
        """Whether everybody who is to say how the run ended has."""
        wanted: set[DeviceId] = set(self.adopted)
        if self.asleep or not self.crashes:
            wanted.add(self.owner)
        return len(self.outcomes) >= runs and wanted <= self.outcomes.keys()


def told(table: TakeoverTable, kinds: Iterable[type]) -> list[tuple[float, DeviceId, Effect]]:
    """Effects of these kinds, with when and whose they were."""
    wanted = tuple(kinds)
    return [
        (line.at, line.device, effect)
        for line in table.transcript
        for effect in line.effects
        if isinstance(effect, wanted)
    ]


__all__ = ["Event", "TakeoverTable", "own_plan", "told"]
