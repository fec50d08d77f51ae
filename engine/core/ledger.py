"""The ledger: the owner's book of a run's tasks, from offer to commit or close.

Rules guarded here: a task is committed by a quorum's acks and by nothing else; what a run opened it
also ends; a device that stops answering never stops a run. `now` is a suspend-aware monotonic clock
in seconds; unix time is known from the goal's submission.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from pockethive.core.effects import Effect, KeepBlob, SetTimer
from pockethive.core.entry import Entry, Kind, Member, Output, Verdict
from pockethive.core.errors import ProtocolError
from pockethive.core.events import (
    EntryArrived,
    Event,
    GoalSubmitted,
    GraphClosed,
    GraphOpened,
    MembersChanged,
    MessageArrived,
    PingAnswered,
    SendFailed,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.lease import MAX_LEASE_SECONDS
from pockethive.core.ledger_desk import Desk
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.ledger_verdicts import VerdictDesk
from pockethive.core.ledger_work import WorkDesk
from pockethive.core.lifecycle import Move, Status
from pockethive.core.message import Made, Message, Progress, VerifyOffer
from pockethive.core.polling import poll_key
from pockethive.core.ports import VerifySignature
from pockethive.core.rendezvous import choose_committee
from pockethive.core.spec import Limits
from pockethive.core.task import Committee, DeviceId, PlannedTask, RunId, Task, TaskId, task_id
from pockethive.core.watch import Watch

TICK_SECONDS = 0.5
REMEMBER_SECONDS = 30.0  # an ended run is kept, to tell devices that missed its end

Effects = Iterator[Effect]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """Whose runs these are. `margin_seconds`: how long entries outlive the run's time limit."""

    device: DeviceId
    owner_key: str
    limits: Limits
    margin_seconds: int = 86_400


class Ledger:
    """`handle` is the only way in."""

    def __init__(self, settings: LedgerSettings, verify: VerifySignature) -> None:
        self._settings = settings
        self._runs: dict[RunId, RunState] = {}
        self._by_task: dict[TaskId, tuple[RunState, TaskState]] = {}
        self._walls: dict[RunId, float] = {}  # unix time minus lease clock
        self._members: tuple[Member, ...] = ()
        self._watch = Watch(settings.device)
        self._ticking = False
        desk = Desk(settings.device, settings.limits)
        self._work = WorkDesk(desk, self._watch)
        self._verdicts = VerdictDesk(self._work, verify)

    def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
        """Take one event; return what is to be done."""
        return tuple(self._handle(event, now))

    def _handle(self, event: Event, now: float) -> Effects:  # noqa: C901 - one line per event
        match event:
            case GoalSubmitted(run=run, wall=wall):
                self._walls[run] = wall - now
            case MembersChanged(members=members):
                self._members = members
                self._watch.forget(member.device for member in members)
                yield from self._tend_all(now)
            case GraphOpened():
                yield from self._open(event, now)
            case GraphClosed(run=run, detail=detail):
                yield from self._close_run(run, detail, now)
            case EntryArrived(entry=entry):
                yield from self._stored(entry, now)
            case MessageArrived(sender=sender, message=Made(entry=entry)):
                yield from self._made(sender, entry, now)
            case MessageArrived(sender=sender, message=Progress() as progress):
                yield from self._progress(sender, progress, now)
            case WitnessAnswered():
                yield from self._answered(event, now)
            case PingAnswered(device=device, alive=alive):
                if self._watch.answered(device, alive=alive, now=now):
                    yield from self._lost(device, now)
            case SendFailed(to=to, message=message):
                self._undelivered(to, message)
            case TimerFired(name="tick"):
                yield from self._tick(now)

    # opening and closing

    def _open(self, event: GraphOpened, now: float) -> Effects:
        if event.run in self._runs:
            return
        if event.run not in self._walls:
            raise ProtocolError(f"run {event.run} was opened, but its goal never came here")
        settings = self._settings
        alive = (m for m in self._members if m.device not in self._watch.lost)
        committee = choose_committee(alive, settings.device, settings.owner_key)
        states: dict[str, TaskState] = {}
        for planned in event.graph.tasks:
            task = self._task(event.run, planned, committee, now)
            state = TaskState(planned=planned, task=task, began=now)
            states[planned.name] = state
            yield KeepBlob(data=planned.spec(), label=planned.label.value)
            yield from self._work.desk.publish(state, Kind.TASK, task, now)
        run = RunState(id=event.run, graph=event.graph, began=now, tasks=states)
        self._runs[event.run] = run
        self._by_task.update({state.id: (run, state) for state in states.values()})
        if not self._ticking:
            self._ticking = True
            yield SetTimer(name="tick", at=now + TICK_SECONDS)

    def _task(self, run: RunId, planned: PlannedTask, committee: Committee, now: float) -> Task:
        settings, wall = self._settings, now + self._walls[run]
        spec = sha256(planned.spec()).hexdigest()
        return Task(
            id=task_id(run, planned.name, spec),
            run=run,
            name=planned.name,
            role=planned.role,
            skill=planned.skill,
            spec=spec,
            after=planned.after,
            place=planned.place,
            label=planned.label,
            verification=planned.verification,
            needs_model=planned.needs_model,
            committee=committee,
            owner=settings.device,
            owner_key=settings.owner_key,
            began=int(wall),
            lease_seconds=min(settings.limits.lease_seconds, MAX_LEASE_SECONDS),
            expires=int(wall) + settings.limits.timeout_seconds + settings.margin_seconds,
        )

    def _close_run(self, run_id: RunId, detail: str, now: float) -> Effects:
        run = self._runs.get(run_id)
        if run is None:
            return
        for state in run.tasks.values():
            if state.open:
                yield from self._work.desk.close(run, state, Move.CANCEL, detail, now)

    # what comes in

    def _stored(self, entry: Entry, now: float) -> Effects:
        """An entry of this device stands in the DHT."""
        if entry.author != self._settings.device:
            return
        body = entry.body
        task = body.id if isinstance(body, Task) else getattr(body, "task", None)
        known = None if task is None else self._by_task.get(task)
        if known is None or known[1].publishing is None or known[1].publishing.body != body:
            return
        run, state = known
        state.publishing = None
        if entry.kind is Kind.TASK:
            state.entry = entry
            yield from self._tend(run, state, now)
            return
        state.end = entry
        yield from self._work.desk.ended(run, state)
        yield from self._tend_run(run, now)

    def _made(self, sender: DeviceId, entry: Entry, now: float) -> Effects:
        body = entry.body
        if sender != entry.author or not isinstance(body, Output | Verdict):
            return
        known = self._by_task.get(body.task)
        if known is None:
            return
        run, state = known
        self._watch.heard(sender, now)
        if state.status is Status.WAITING:  # it was offered to nobody
            return
        if not state.open:
            yield from self._work.desk.tell_end(state, sender)
        elif isinstance(body, Output):
            yield from self._verdicts.proposed(run, state, entry, now)
            yield from self._tend(run, state, now)
        else:
            yield from self._verdicts.judged(run, state, entry, now)
            yield from self._tend(run, state, now)

    def _progress(self, sender: DeviceId, progress: Progress, now: float) -> Effects:
        known = self._by_task.get(progress.task)
        if known is None:
            return
        run, state = known
        self._watch.heard(sender, now)
        if state.status is Status.WAITING:  # it was offered to nobody
            return
        if not state.open:
            yield from self._work.desk.tell_end(state, sender)
            return
        match progress.state:
            case "claimed":
                yield from self._work.claimed(run, state, sender, progress.epoch, now)
            case "failed":
                yield from self._work.failed(run, state, sender, progress, now)
            case "accepted":
                yield from self._verdicts.finish(run, state, sender, progress, now)
            case "checking":
                state.checking.add(sender)
            case "unchecked":
                self._verdicts.unchecked(state, sender, progress, now)
        yield from self._tend(run, state, now)

    def _answered(self, event: WitnessAnswered, now: float) -> Effects:
        known = self._by_task.get(TaskId(poll_key(event.ask)))
        if known is not None and known[1].open:
            yield from self._verdicts.answered(known[1], event, now)

    def _undelivered(self, to: DeviceId, message: Message) -> None:
        if isinstance(message, VerifyOffer) and message.task in self._by_task:
            self._by_task[message.task][1].declined.add(to)
        self._watch.doubt(to)

    def _lost(self, device: DeviceId, now: float) -> Effects:
        for run in list(self._runs.values()):
            for state in run.tasks.values():
                if state.open:
                    yield from self._work.device_lost(run, state, device, now)
        yield from self._tend_all(now)

    # what goes on

    def _tick(self, now: float) -> Effects:
        yield from self._tend_all(now)
        yield from self._watch.pings(self._debtors(), now)
        for run in list(self._runs.values()):
            if any(state.open or state.publishing for state in run.tasks.values()):
                continue
            run.ended_at = now if run.ended_at is None else run.ended_at
            if now > run.ended_at + REMEMBER_SECONDS:
                self._forget(run)
        self._ticking = bool(self._runs)
        if self._ticking:
            yield SetTimer(name="tick", at=now + TICK_SECONDS)

    def _forget(self, run: RunState) -> None:
        del self._runs[run.id]
        self._walls.pop(run.id, None)
        for state in run.tasks.values():
            del self._by_task[state.id]

    def _debtors(self) -> set[DeviceId]:
        """Devices from which an open task awaits something."""
        found: set[DeviceId] = set()
        for run in self._runs.values():
            for state in run.tasks.values():
                if state.status in (Status.CLAIMED, Status.PROPOSED):
                    found.update(filter(None, (state.holder,)), state.verifiers())
                elif state.status is Status.READY and state.task.place is not None:
                    found.add(state.task.place)
        return found

    def _tend_all(self, now: float) -> Effects:
        for run in list(self._runs.values()):
            yield from self._tend_run(run, now)

    def _tend_run(self, run: RunState, now: float) -> Effects:
        """Graph order: what one task's end means for the next is seen in the same pass."""
        for planned in run.graph.tasks:
            yield from self._tend(run, run.tasks[planned.name], now)

    def _tend(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Do what is due for one task."""
        if state.publishing is not None and now >= state.publish_at:
            yield from self._work.desk.publish_again(state, now)
        if state.entry is None or not state.open:
            return
        if state.status is Status.WAITING:
            yield from self._work.unlock(run, state, now)
        if state.status is Status.READY:
            yield from self._work.offer(run, state, self._members, now)
        elif state.status is Status.CLAIMED:
            yield from self._work.overdue(run, state, now)
        elif state.status is Status.PROPOSED:
            yield from self._verdicts.tend(run, state, self._members, now)
