"""The ledger's claims: that this device keeps a run, and how it takes over one that another kept.

Guards: of two devices of an owner that want a run one goes on with it, and the other says so; who
finds that another has it stops without a word about the run's tasks. None of that is what makes two
ledgers safe (`ledger_seals.py` is); it is what keeps them from being two.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from pockethive.core.acquisition import Acquisition, Phase
from pockethive.core.claim import CLAIM_SECONDS, claim_id, claim_of, claims_run, keepers_of
from pockethive.core.effects import (
    Effect,
    KeepBlob,
    ListRun,
    Publish,
    ReadTask,
    Send,
    TellCoordinator,
)
from pockethive.core.entry import Body, Claim, Close, Entry, Kind, Member, Output
from pockethive.core.errors import BadEncoding
from pockethive.core.events import (
    EntryArrived,
    Event,
    GoalSubmitted,
    GraphClosed,
    MembersChanged,
    MessageArrived,
    Restarted,
    RunAdopted,
    RunMoved,
    TaskRead,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.labels import Label
from pockethive.core.ledger_adoption import Adoption, AdoptionDesk
from pockethive.core.ledger_desk import PUBLISH_AGAIN_SECONDS, Desk
from pockethive.core.ledger_opening import LedgerSettings, OpeningDesk
from pockethive.core.ledger_seals import SealDesk
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.message import Keep, Progress
from pockethive.core.polling import jitter, poll_key
from pockethive.core.ports import VerifySignature
from pockethive.core.run_record import record_of
from pockethive.core.task import DeviceId, RunId, Task, TaskId

AGAIN_SECONDS: Final = 1.0  # after a claim that was not to be had
TAKE_SECONDS: Final = 3.0 * CLAIM_SECONDS  # how long one that another keeps is asked for
READS: Final = 3  # of a claim, before nothing is there
KEEPERS: Final = 3  # devices that are to hold the record
LEAVES: Final = 8  # times that devices are asked to hold it
LEAVE_AGAIN_SECONDS: Final = 3.0

Effects = Iterator[Effect]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the ledger shares: its runs and tasks; `again` plans anew, `forget` drops a run."""

    runs: dict[RunId, RunState]
    tasks: dict[TaskId, tuple[RunState, TaskState]]
    again: Callable[[RunState, TaskState, str, float], Effects]
    forget: Callable[[RunState], None]


@dataclass(slots=True, kw_only=True)
class _Claim:
    """One run's. `epoch`: of the claim as it is had here, or was last; `before`: the last one but
    that; 0: never. Times: lease clock. `busy`: another has it, as far as is known.

    `adopts`: what is to be taken over; None: this device began the run. `look`: reads of what
    stands of it that are yet to be answered before anything is believed. `held`: who says that it
    holds the record; `left`: how often others were asked to.
    """

    run: RunId
    task: Task
    adopts: Adoption | None = None
    until: float = 0.0  # a run that is to be taken over is asked for no longer
    entry: Entry | None = None
    made: Entry | None = None  # names the record
    lease: Acquisition | None = None
    epoch: int = 0
    before: int = 0
    busy: bool = False
    act_at: float = 0.0
    look: int = 0
    held: set[DeviceId] = field(default_factory=set)
    left: int = 0
    leave_at: float = 0.0
    due: dict[Kind, Publish] = field(default_factory=dict)
    due_at: float = 0.0

    @property
    def taking(self) -> bool:
        """It is yet to be taken over."""
        return self.adopts is not None and not self.adopts.opened


class ClaimDesk:
    """Sees every event before the ledger does. Without a certificate it does nothing."""

    def __init__(
        self,
        settings: LedgerSettings,
        desks: tuple[Desk, OpeningDesk, SealDesk],
        kept: Kept,
        verify: VerifySignature,
    ) -> None:
        self._settings, self._kept, self._verify = settings, kept, verify
        self._device = settings.device
        self._claims: dict[TaskId, _Claim] = {}
        self._goals: dict[RunId, tuple[str, int]] = {}  # of runs that are not claimed yet
        self._members: tuple[Member, ...] = ()
        self._adopting = AdoptionDesk(desks, kept.tasks, kept.again, verify)

    @property
    def pursued(self) -> bool:
        """Whether a run is being taken over that has not been opened here."""
        return any(claim.taking for claim in self._claims.values())

    def handle(self, event: Event, now: float) -> Effects:  # noqa: C901 - one line per event
        """Take one event, before the ledger does."""
        match event:
            case MembersChanged(members=members):
                self._members = members
            case GoalSubmitted(run=run, goal=goal, wall=wall) if self._settings.certificate:
                self._goals[run] = (goal, int(wall))
            case RunAdopted():
                self._adopt(event, now)
            case GraphClosed(run=run) if run not in self._kept.runs:
                self._claims.pop(claim_id(run), None)
            case EntryArrived(entry=entry) if entry.author == self._device:
                yield from self._stood(entry, now)
            case MessageArrived(sender=sender, message=Progress(task=task, state="holding")):
                if task in self._claims and sender in self._relatives():
                    self._claims[task].held.add(sender)
            case WitnessAnswered(ask=ask) if claims_run(TaskId(ask)):
                yield from self._answered(event, now)
            case TaskRead():
                yield from self._read(event, now)
                yield from self._adopting.read(event, now)
            case Restarted():
                self._restarted(now)
            case TimerFired(name="tick"):
                yield from self._tick(now)

    # a run that begins here

    def opened(self, run: RunState, now: float) -> Effects:
        """Claim a run that was opened, and leave its record with the owner's other devices, where
        there are any."""
        if run.id not in self._goals:
            return
        goal, wall = self._goals.pop(run.id)
        shared = (s.task for s in run.tasks.values() if s.local is None and s.task.certificate)
        first = next(shared, None)
        others = self._relatives()
        if first is None or not others:
            return
        record = record_of(run.id, goal, wall, self._settings.limits, run.graph)
        try:
            data = record.encode()
        except BadEncoding:
            return  # too long for a blob that others hold: it goes on from its own home alone
        task = claim_of(first, self._device, self._settings.certificate)
        claim = _Claim(run=run.id, task=task, act_at=now)
        self._claims[task.id] = claim
        yield KeepBlob(data=data, label=Label.PEOPLE.value)
        yield ListRun(claim=task)
        made = Output(
            task=task.id,
            epoch=0,
            output=sha256(data).hexdigest(),
            size=len(data),
            model="",
            inputs=(),
        )
        yield from self._publish(claim, Kind.TASK, task, now)
        yield from self._publish(claim, Kind.OUTPUT, made, now)

    def _relatives(self) -> list[DeviceId]:
        """The owner's other devices."""
        own = self._settings.owner_key
        return sorted(
            m.device for m in self._members if m.owner_key == own and m.device != self._device
        )

    def _publish(self, claim: _Claim, kind: Kind, body: Body, now: float) -> Effects:
        claim.due[kind] = Publish(kind=kind, body=body, expires=claim.task.expires)
        claim.due_at = now + PUBLISH_AGAIN_SECONDS
        yield claim.due[kind]

    def _stood(self, entry: Entry, now: float) -> Effects:
        body = entry.body
        task = body.id if isinstance(body, Task) else getattr(body, "task", None)
        claim = None if task is None else self._claims.get(task)
        waiting = None if claim is None else claim.due.get(entry.kind)
        if claim is None or waiting is None or waiting.body != body:
            return
        del claim.due[entry.kind]
        if entry.kind is Kind.TASK:
            claim.entry, claim.act_at = entry, now
            yield from self._act(claim, now)
        elif entry.kind is Kind.OUTPUT:
            claim.made = entry
        yield from self._leave(claim, now)

    def _leave(self, claim: _Claim, now: float) -> Effects:
        """Ask the owner's other devices to hold the record, until some say that they do."""
        if claim.entry is None or claim.made is None or now < claim.leave_at:
            return
        missing = KEEPERS - len(claim.held)
        others = [device for device in self._relatives() if device not in claim.held]
        if missing > 0 and others and claim.left < LEAVES:
            claim.left += 1
            claim.leave_at = now + LEAVE_AGAIN_SECONDS
            turned = others[(claim.left - 1) % len(others) :] + others
            keep = Keep(task=claim.task.id, entry=claim.entry, output=claim.made)
            for device in dict.fromkeys(turned[:missing]):
                yield Send(to=device, message=keep)

    # a run of another device

    def _adopt(self, event: RunAdopted, now: float) -> None:
        task = event.claim.body
        fits = isinstance(task, Task) and task.id == claim_id(event.run) and task.certificate
        if not fits or event.run in self._kept.runs or not self._settings.certificate:
            return
        assert isinstance(task, Task)
        if task.owner_key != self._settings.owner_key:
            return
        adoption = Adoption(graph=event.graph, withheld=event.withheld, wall=event.wall - now)
        self._claims[task.id] = _Claim(
            run=event.run,
            task=task,
            adopts=adoption,
            until=now + TAKE_SECONDS,
            entry=event.claim,
            act_at=now,
        )

    # who has it

    def _tick(self, now: float) -> Effects:
        for claim in list(self._claims.values()):
            if claim.run not in self._kept.runs and not claim.taking:
                yield from self._free(claim)  # the ledger has forgotten it
                continue
            if claim.due and now >= claim.due_at:
                claim.due_at = now + PUBLISH_AGAIN_SECONDS
                yield from claim.due.values()
            yield from self._leave(claim, now)
            yield from self._act(claim, now)
            run_ = self._kept.runs.get(claim.run)
            if claim.adopts is not None and run_ is not None:
                yield from self._adopting.tend(run_, claim.adopts, now)

    def _act(self, claim: _Claim, now: float) -> Effects:
        """Do what is due for the lease: ask for it, ask again, renew it."""
        if claim.entry is None or now < claim.act_at:
            return
        claim.act_at = now + AGAIN_SECONDS + jitter(self._device + claim.run, int(now * 8))
        lease = claim.lease
        if claim.look:
            yield ReadTask(task=claim.task.id)
        elif lease is None or lease.phase is Phase.GIVEN_UP:
            if claim.taking and now >= claim.until:
                yield from self._taken(claim, now)
                return
            claim.lease = Acquisition(claim.entry, self._device, self._settings.certificate)
            yield from claim.lease.begin(now)
        elif lease.phase is Phase.BACKING_OFF:
            yield from lease.begin(now)
        elif lease.phase is Phase.HELD:
            claim.act_at = now + lease.renew_seconds
            asked = lease.renew(now)
            yield from asked
            if not asked:  # this device slept: is it still its own?
                claim.act_at = now
                yield from self._act(claim, now)

    def _answered(self, event: WitnessAnswered, now: float) -> Effects:
        claim = self._claims.get(TaskId(poll_key(event.ask)))
        if claim is None or claim.lease is None:
            return
        lease, before = claim.lease, claim.lease.phase
        yield from lease.answered(event, now)
        if lease.taken:
            lease.taken, claim.busy = False, True
            yield from self._taken(claim, now)
        elif lease.phase is Phase.HELD and before is not Phase.HELD:
            claim.act_at = now + lease.renew_seconds
            claim.before, claim.epoch, claim.busy = claim.epoch, lease.epoch, False
            if claim.before or claim.taking:  # somebody may have had it in between
                claim.look, claim.act_at = READS, now
                yield from self._act(claim, now)

    def _taken(self, claim: _Claim, now: float) -> Effects:
        """Another has it. One that is to be taken over is waited for: its keeper may be dead."""
        if claim.taking and now < claim.until:
            return
        claim.look, claim.act_at = READS, now
        claim.lease = None
        yield from self._act(claim, now)

    def _read(self, event: TaskRead, now: float) -> Effects:
        claim = self._claims.get(event.task)
        if claim is None or not claim.look:
            return
        claim.look = claim.look - 1 if not event.entries else 0
        if claim.look:
            return
        ended, keeper = _elsewhere(claim.task, event.entries, self._verify)
        mine = claim.lease is not None and claim.lease.phase is Phase.HELD
        other = keeper[1] != self._device and keeper[0] > claim.before and not claim.taking
        if ended or other or not mine:
            who = f"device {keeper[1][:8]} of the same owner keeps it"
            silent = not (claim.busy or other)
            yield from self._moved(
                claim, ended or ("its witnesses do not answer" if silent else who)
            )
            return
        assert claim.lease is not None
        claim.act_at = now + claim.lease.renew_seconds
        said = Claim(
            task=claim.task.id,
            epoch=claim.epoch,
            until=claim.task.expires,
            certificate=self._settings.certificate,
        )
        yield from self._publish(claim, Kind.CLAIM, said, now)
        if claim.taking:
            assert claim.adopts is not None
            run = self._adopting.open((claim.run, claim.epoch), claim.adopts, self._members, now)
            self._kept.runs[run.id] = run
            self._kept.tasks.update({s.id: (run, s) for s in run.tasks.values()})
            yield ListRun(claim=claim.task)
            yield from self._adopting.tend(run, claim.adopts, now)

    def _moved(self, claim: _Claim, reason: str) -> Effects:
        """This device has nothing more to say of the run: what stands of its tasks is another's."""
        run = self._kept.runs.get(claim.run)
        if run is not None:
            self._kept.forget(run)
        yield from self._free(claim)
        yield TellCoordinator(event=RunMoved(run=claim.run, reason=f"not here: {reason}"))

    def _free(self, claim: _Claim) -> Effects:
        self._claims.pop(claim.task.id, None)
        if claim.lease is not None and claim.lease.phase is Phase.HELD:
            yield from claim.lease.free()

    def _restarted(self, now: float) -> None:
        """What was asked may never have been; whoever had it meanwhile is asked for."""
        for claim in self._claims.values():
            claim.due_at = claim.act_at = now
            claim.look, claim.lease = 0, None
            if claim.adopts is not None:
                claim.until = now + TAKE_SECONDS
                self._adopting.restarted(claim.adopts, now)


def _elsewhere(
    task: Task, entries: Sequence[Entry], verify: VerifySignature
) -> tuple[str, tuple[int, DeviceId]]:
    """How a run ended, if it did; and who took it over last, at which epoch of its claim."""
    keepers = keepers_of(task, entries, verify)
    closers = {task.owner, *(device for _, device in keepers)}
    for entry in entries:
        if isinstance(entry.body, Close) and entry.author in closers:
            return entry.body.detail, (0, task.owner)
    return "", max(keepers, default=(0, task.owner))
