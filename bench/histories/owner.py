"""The owner of a history: signs tasks, finishes what was accepted, replaces witnesses."""

from dataclasses import dataclass, replace
from hashlib import sha256

from bench.histories.network import ANSWER_SECONDS, WALL, Network, task_of
from bench.histories.record import History
from bench.histories.world import CHECKER, OWNER, WITNESSES, signed
from pockethive.core.effects import AskWitness
from pockethive.core.entry import Entry, Invite, Output
from pockethive.core.events import WitnessAnswered
from pockethive.core.labels import Label
from pockethive.core.lease import Ack, AskCommit, AskSlot, Seal, Sealed, Yes
from pockethive.core.polling import Poll
from pockethive.core.sealing import succession, successor
from pockethive.core.task import (
    Check,
    Committee,
    DeviceId,
    Policy,
    RunId,
    Task,
    TaskId,
    Verification,
    task_id,
)

LEASE = 12  # seconds
SEATS = 2  # tasks contended at once
LOOK_SECONDS = 4.0  # how often it looks at its tasks
SEAL_ROUNDS = 5


@dataclass(slots=True, eq=False)
class Seat:
    """A task that is contended, in all its generations as the owner signed them."""

    number: int
    entries: list[Entry]
    since: float
    busy: bool = False  # its witnesses are being replaced


class Owner:
    """`seats` are what contenders find; `evidence` what they publish, by task and output."""

    def __init__(self, net: Network, history: History) -> None:
        self._net, self._history = net, history
        self._tasks = self._polls = 0
        self.evidence: dict[tuple[TaskId, str], tuple[Entry, ...]] = {}
        self.seats = [Seat(number, [self._new_task()], 0.0) for number in range(SEATS)]
        net.on_ack = self._acked
        self._look()

    def commit_asks(self, task: Task, epoch: int, sha: str) -> list[AskWitness]:
        """The request for acks to all witnesses; none without evidence."""
        evidence = self.evidence.get((task.id, sha), ())
        request = AskCommit(task=task.id, epoch=epoch, output=sha, evidence=evidence)
        return list(self._poll(task).questions(request)) if evidence else []

    def slot_asks(self, task: Task, output: Entry) -> list[AskWitness]:
        """The checker's request for a verify slot to all witnesses, with the owner's invitation."""
        made = output.body
        assert isinstance(made, Output)
        word = Invite(task=task.id, epoch=made.epoch, output=made.output, verifier=CHECKER)
        request = AskSlot(
            task=task.id,
            epoch=made.epoch,
            output=made.output,
            seconds=LEASE,
            invite=signed(OWNER, word),
        )
        return list(self._poll(task).questions(request))

    def finish(self, task: Task, epoch: int, sha: str) -> None:
        """A holder was shown an accepted value: finish it at this epoch."""
        if not self._net.weather.down(OWNER, self._net.now):
            self._net.ask_all(OWNER, self.commit_asks(task, epoch, sha), lambda event: None)

    def _acked(self, name: DeviceId, ack: Ack) -> None:
        seat = next((s for s in self.seats if task_of(s.entries[0]).id == ack.task), None)
        if seat is None:  # it was committed, or given up by the owner
            return
        if not 1 <= ack.generation <= len(seat.entries):
            return
        committee = task_of(seat.entries[ack.generation - 1]).committee
        if self._history.acked(name, ack, committee, self._net.liars):
            self._history.ended.append((seat.number, self._net.now))
            # Nobody knows it at once: whoever asked may be gone, and its answers lost.
            known = self._net.dice.uniform(2, 8) + self._net.weather.calm(self._net.now)
            self._net.at(known, lambda: self._reopen(seat))

    def _poll(self, task: Task) -> Poll:
        self._polls += 1
        return Poll(task.id, self._polls, task.committee, self._net.local(OWNER))

    def _new_task(self) -> Entry:
        self._tasks += 1
        run, spec = RunId(f"{self._tasks:032x}"), sha256(b"spec").hexdigest()
        task = Task(
            id=task_id(run, "work", spec),
            run=run,
            name="work",
            role="worker",
            skill="work",
            spec=spec,
            after=(),
            place=None,
            label=Label.HIVE,
            verification=Verification(checks=(Check(Policy.CHECK, "quotation"),)),
            needs_model=False,
            committee=self._committee(),
            owner=OWNER,
            owner_key=OWNER,
            began=int(WALL),
            lease_seconds=LEASE,
            expires=2**31,
        )
        return signed(OWNER, task)

    def _committee(self) -> Committee:
        """Seven witnesses, always with the liars among them."""
        honest = [name for name in WITNESSES if name not in self._net.liars]
        chosen = (
            *sorted(self._net.liars),
            *self._net.dice.sample(honest, 7 - len(self._net.liars)),
        )
        committee = Committee(witnesses=chosen, quorum=5)
        if self._net.rules.quorum != committee.quorum:  # no committee of the protocol: a mutant's
            object.__setattr__(committee, "quorum", self._net.rules.quorum)
        return committee

    def _reopen(self, seat: Seat) -> None:
        """Something new to contend for."""
        place = self.seats.index(seat) if seat in self.seats else None
        if place is not None:
            self.seats[place] = Seat(seat.number, [self._new_task()], self._net.now)

    def _look(self) -> None:
        """Now and then, and when a task does not come to its end, other witnesses take over."""
        self._net.at(self._net.now + LOOK_SECONDS, self._look)
        if self._net.weather.down(OWNER, self._net.now):
            return
        for seat in self.seats:
            late = self._net.now > seat.since + 20
            restless = self._net.dice.random() < 0.1 and self._net.weather.stormy(self._net.now)
            if not seat.busy and (late or restless):
                self._replace(seat)

    def _replace(self, seat: Seat) -> None:
        seat.busy = True
        entry, heir = seat.entries[-1], self._committee()
        if not self._net.rules.seals:
            task = task_of(entry)
            base = task.committee.epoch_base + 1_000
            self._succeed(
                seat, replace(heir, generation=task.committee.generation + 1, epoch_base=base)
            )
            return
        self._seal(seat, heir, {}, 1)

    def _seal(self, seat: Seat, heir: Committee, seals: dict[DeviceId, Sealed], turn: int) -> None:
        task = task_of(seat.entries[-1])
        request = Seal(
            task=task.id,
            generation=task.committee.generation,
            successor=successor(heir),
            entry=seat.entries[-1],
        )
        poll = self._poll(task)

        def good(yes: Yes) -> bool:
            return isinstance(yes, Sealed) and yes.successor == request.successor

        def hear(event: WitnessAnswered) -> None:
            if poll.take(event, good) and isinstance(event.answer, Sealed):
                seals[event.witness] = event.answer

        self._net.ask_all(OWNER, poll.questions(request), hear)
        again = self._net.now + 1.5 * ANSWER_SECONDS
        self._net.at(again, lambda: self._sealed(seat, heir, seals, turn))

    def _sealed(
        self, seat: Seat, heir: Committee, seals: dict[DeviceId, Sealed], turn: int
    ) -> None:
        task = task_of(seat.entries[-1])
        left = succession(task.committee, seals.values(), LEASE)
        if left is not None and left.bound and (task.id, left.bound) not in self.evidence:
            left = None  # nobody can prove it: liars may have invented it
        if left is not None:
            committee = replace(
                heir,
                generation=task.committee.generation + 1,
                epoch_base=left.base,
                bound=left.bound,
            )
            wait = self._net.local(OWNER) + (left.wait if self._net.rules.waits else 0.0)
            due = self._net.weather.clocks[OWNER].true(wait)
            self._net.at(due, lambda: self._succeed(seat, committee))
        elif turn < SEAL_ROUNDS:
            self._seal(seat, heir, seals, turn + 1)
        else:  # planned anew, under a new id
            self._history.lost += 1
            self._reopen(seat)

    def _succeed(self, seat: Seat, committee: Committee) -> None:
        self._history.replaced += 1
        seat.entries.append(signed(OWNER, replace(task_of(seat.entries[-1]), committee=committee)))
        seat.busy, seat.since = False, self._net.now
