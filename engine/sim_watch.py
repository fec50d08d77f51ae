"""What a scenario's machines do, seen step by step: invariants, executions, the simulator's truth.

Rule guarded here: what is reported was seen, not inferred from what devices say of themselves.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pockethive.actors.skill import Checker, Skill
from pockethive.configs.scenario import Wire
from pockethive.core.effects import AskWitness, Effect, Publish, RunSkill, StopSkill
from pockethive.core.entry import Commit, Invite, Kind, Output
from pockethive.core.events import Event, SkillDone, SkillFailed
from pockethive.core.lease import AskSlot, Propose
from pockethive.core.report import Happening
from pockethive.core.scout import Scout
from pockethive.core.task import DeviceId, RunId, TaskId
from pockethive.dht.simulation import Link
from pockethive.dht.transport import Address
from pockethive.sim_people import CHECKER, SKILL, Judging, Making, Person
from pockethive.simulation import Seat, SimulatedDevice, SimulatedHive

_RACE_SECONDS = (0.0, 0.15)  # after the proposal was sent: the first may come before it


class ScenarioHive(SimulatedHive):
    """A hive whose every step is looked at."""

    def __init__(self, seed: int, wire: Wire) -> None:
        link = Link(latency=wire.latency, jitter=wire.jitter, loss=wire.loss)
        super().__init__(seed, link)
        self.people: dict[DeviceId, Person] = {}
        self.asleep: set[Address] = set()
        self.executions: Counter[str] = Counter()
        """How often work was begun, by run and task name: a task planned anew is the same work."""
        self.finished: Counter[str] = Counter()
        """How often work was ended with an output."""
        self.made_wrong: set[tuple[TaskId, str]] = set()
        """Outputs, by task and hash, whose maker cheated."""
        self.commits: dict[TaskId, set[str]] = {}
        """Hashes of the outputs that were published as committed."""
        self.overlaps: list[str] = []
        """Two devices that worked at one task while the leases of both ran."""
        self.offered: dict[tuple[RunId, str], float] = {}
        self.committed: dict[tuple[RunId, str], float] = {}
        self._working: dict[TaskId, dict[DeviceId, SimulatedDevice]] = {}
        self._by_id: dict[str, SimulatedDevice] = {}
        self._racers: list[SimulatedDevice] = []

    def seat(self, seat: Seat, person: Person) -> Seat:
        """The seat with a person's skill and checker."""
        skills: Mapping[str, Skill] = {SKILL: Making(person)}
        checkers: Mapping[str, Checker] = {CHECKER: Judging(person)}
        return Seat(
            team=seat.team,
            pace=seat.pace,
            owner=seat.owner,
            skills=skills,
            checkers=checkers,
        )

    def know(self, device: SimulatedDevice, person: Person) -> None:
        """Say who is behind a device that was started."""
        self.people[device.id], self._by_id[device.id] = person, device
        if person.group.races:
            self._racers.append(device)

    def told(self, teller: SimulatedDevice, happening: Happening) -> None:
        """Note when a task was first offered, and when it was committed."""
        super().told(teller, happening)
        which = happening.run, happening.task
        if happening.what == "offered":
            self.offered.setdefault(which, self.now)
        elif happening.what == "committed":
            self.committed[which] = self.now

    def stepped(self, device: str, *step: Any) -> None:
        """One step of a machine."""
        super().stepped(device, *step)
        machine, event, now, effects = step
        if machine == "scout" and device in self._by_id:
            self._worked(self._by_id[device], event, now, effects)
        elif machine == "ledger":
            self._booked(effects)

    def _worked(
        self, device: SimulatedDevice, event: Event, now: float, effects: Sequence[Effect]
    ) -> None:
        if isinstance(event, SkillDone | SkillFailed):
            self._working.get(event.task, {}).pop(device.id, None)
        if isinstance(event, SkillDone):
            self.finished[_work(event.task)] += 1
            if event.task in self.people[device.id].lied:
                self.made_wrong.add((event.task, event.output))
        for effect in effects:
            match effect:
                case RunSkill(task=task):
                    self._begins(device, task.id, now)
                case StopSkill(task=stopped):
                    self._working.get(stopped, {}).pop(device.id, None)
                case AskWitness(request=Propose()) if self.people[device.id].group.races:
                    self._race(effect)

    def _begins(self, device: SimulatedDevice, task: TaskId, now: float) -> None:
        self.executions[_work(task)] += 1
        others = self._working.setdefault(task, {})
        for other in others.values():
            if other.alive and now < _until(other, task):
                told = f"{now:.3f} s: {device.name} and {other.name} both held {task}"
                self.overlaps.append(told)
        others[device.id] = device

    def _booked(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Publish) and isinstance(effect.body, Commit):
                self.commits.setdefault(effect.body.task, set()).add(effect.body.output)

    def _race(self, effect: AskWitness) -> None:
        """All who race ask this witness for a slot at once; nobody has invited them."""
        proposal = effect.request
        assert isinstance(proposal, Propose)
        for racer in self._racers:
            unasked = AskWitness(
                ask="verifier|race#0",
                witness=effect.witness,
                request=_unasked(racer, proposal),
            )
            for pause in _RACE_SECONDS:
                self.world.loop.call_later(pause, self._grab, racer, unasked)

    def _grab(self, racer: SimulatedDevice, ask: AskWitness) -> None:
        hands = racer._hands  # noqa: SLF001 - it does what its machines never would
        if racer.alive and hands is not None:
            hands.perform([("verifier", ask)])

    def _cut(self, source: Address, target: Address) -> bool:
        asleep = source in self.asleep or target in self.asleep
        return asleep or super()._cut(source, target)


def _unasked(racer: SimulatedDevice, proposal: Propose) -> AskSlot:
    """A question for a slot, with the only invitation a racer has: one of its own making."""
    output = proposal.output
    made = output.body
    assert isinstance(made, Output)
    invite = Invite(task=made.task, epoch=made.epoch, output=made.output, verifier=racer.id)
    _, entry = racer.entries.sign(Kind.INVITE, invite, output.expires)
    return AskSlot(
        task=made.task,
        epoch=made.epoch,
        output=made.output,
        seconds=proposal.seconds,
        invite=entry,
    )


def _work(task: TaskId) -> str:
    """Run and name of a task, whatever its turn."""
    return task.rpartition("/")[0]


def _until(device: SimulatedDevice, task: TaskId) -> float:
    """Until when a device may rely on its lease, by its own reckoning."""
    scout = device.machines["scout"]
    assert isinstance(scout, Scout)
    job = scout._jobs.get(task)  # noqa: SLF001 - no message tells it
    return 0.0 if job is None else job.lease.until
