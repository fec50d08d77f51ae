"""What happened in a history, by true time, and whether it may have.

Guards: leases of one task never overlap; epochs rise; one output at most is committed; an honest
witness never acks below what it promised, and says nothing more once it has sealed; between the
storms every task comes to its end.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.histories.world import END, STORMS
from pockethive.core.lease import Ack, Grant, Sealed, WitnessAnswer
from pockethive.core.task import Committee, DeviceId, TaskId

CALMS = tuple(zip((end for _, end in STORMS), (*(b for b, _ in STORMS[1:]), END), strict=True))


@dataclass(slots=True)
class Held:
    """A lease as its holder believes in it."""

    task: TaskId
    holder: DeviceId
    generation: int
    epoch: int
    since: float
    until: float

    def __str__(self) -> str:
        span = f"{self.since:.2f} to {self.until:.2f}"
        return f"{self.holder[:6]} at epoch {self.epoch} of generation {self.generation}, {span}"


@dataclass(slots=True)
class History:
    """Filled while a history is played; `faults` says in words what must not have been."""

    leases: list[Held] = field(default_factory=list)
    commits: dict[TaskId, set[str]] = field(default_factory=dict)
    ended: list[tuple[int, float]] = field(default_factory=list)  # (seat, when) of every commit
    replaced: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list)
    _acks: dict[tuple[TaskId, int, int, str], set[DeviceId]] = field(default_factory=dict)
    _promised: dict[tuple[DeviceId, TaskId], int] = field(default_factory=dict)
    _sealed: dict[tuple[DeviceId, TaskId], int] = field(default_factory=dict)

    def answered(self, witness: DeviceId, answer: WitnessAnswer) -> None:
        """An honest witness said something: it must fit to what it said before."""
        place = (witness, answer.task)
        if isinstance(answer, Sealed):
            self._sealed[place] = max(answer.generation, self._sealed.get(place, 0))
        elif isinstance(answer, Grant) and not answer.slot:
            self._after_seal(witness, answer)
            if answer.epoch < self._promised.get(place, 0):
                self.faults.append(f"{witness[:6]} granted epoch {answer.epoch} after a higher one")
            self._promised[place] = max(answer.epoch, self._promised.get(place, 0))
        elif isinstance(answer, Ack):
            key = (answer.task, answer.generation, answer.epoch, answer.output)
            if witness in self._acks.get(key, ()):
                return  # it repeats itself
            self._after_seal(witness, answer)
            if answer.epoch < self._promised.get(place, 0):
                self.faults.append(f"{witness[:6]} acked epoch {answer.epoch} after a higher grant")

    def acked(
        self, witness: DeviceId, ack: Ack, committee: Committee, liars: Iterable[DeviceId]
    ) -> bool:
        """An ack exists; whether it makes a commit. Liars would sign anything."""
        key = (ack.task, ack.generation, ack.epoch, ack.output)
        signers = self._acks.setdefault(key, set(liars) & set(committee.witnesses))
        signers.add(witness)
        outputs = self.commits.setdefault(ack.task, set())
        if len(signers) < committee.quorum or ack.output in outputs:
            return False
        outputs.add(ack.output)
        if len(outputs) > 1:
            self.faults.append(f"{ack.task}: {len(outputs)} outputs were committed")
        return len(outputs) == 1

    def held(self, lease: Held) -> None:
        """A lease was had: its epoch is above all before it."""
        before = [one for one in self.leases if one.task == lease.task]
        if any(one.epoch >= lease.epoch for one in before):
            self.faults.append(f"{lease} does not rise above {max(before, key=_epoch)}")
        self.leases.append(lease)

    def close(self, seats: int) -> None:
        """Look at the whole: overlaps, and whether the calm was used."""
        by_task: dict[TaskId, list[Held]] = {}
        for lease in self.leases:
            by_task.setdefault(lease.task, []).append(lease)
        for leases in by_task.values():
            leases.sort(key=lambda one: one.since)
            last = leases[0]
            for lease in leases[1:]:
                if lease.since < last.until:
                    self.faults.append(f"two leases at once: {last}; {lease}")
                last = max(last, lease, key=lambda one: one.until)
        for begin, end in CALMS:
            for seat in range(seats):
                if not any(begin <= at < end for who, at in self.ended if who == seat):
                    self.faults.append(
                        f"seat {seat}: nothing was committed from {begin:g} to {end:g}"
                    )

    def _after_seal(self, witness: DeviceId, answer: Grant | Ack) -> None:
        if answer.generation <= self._sealed.get((witness, answer.task), 0):
            self.faults.append(f"{witness[:6]} answered for generation {answer.generation}, sealed")


def _epoch(lease: Held) -> int:
    return lease.epoch
