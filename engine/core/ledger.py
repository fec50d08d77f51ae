"""The ledger: the owner's book of a run's tasks, from offer to commit or close.

Rules guarded here: a task is committed by a quorum's acks and by nothing else; what a run opened it
also ends; a device that stops answering never stops a run; what is refused changes nothing. `now`
is a suspend-aware monotonic clock in seconds; unix time is known from the goal's submission.
"""

from collections.abc import Iterator

from pockethive.core import ledger_budget, ledger_deadlines
from pockethive.core.effects import Effect, SetTimer
from pockethive.core.entry import Entry, Kind, Member
from pockethive.core.errors import ProtocolError
from pockethive.core.events import (
    CreditsRead,
    EntryArrived,
    Event,
    GoalSubmitted,
    GraphClosed,
    GraphOpened,
    MembersChanged,
    MessageArrived,
    OwnerAnswered,
    PingAnswered,
    QuestionShown,
    Restarted,
    RunAdopted,
    SendFailed,
    SkillDone,
    SkillFailed,
    TaskRead,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.ledger_anew import AnewDesk
from pockethive.core.ledger_claims import ClaimDesk, Kept
from pockethive.core.ledger_credit import CreditDesk
from pockethive.core.ledger_desk import Desk, task_of
from pockethive.core.ledger_local import LocalDesk
from pockethive.core.ledger_lots import LotsDesk
from pockethive.core.ledger_notices import NoticeDesk
from pockethive.core.ledger_opening import LedgerSettings, Opening, OpeningDesk
from pockethive.core.ledger_questions import stopped
from pockethive.core.ledger_restart import RestartDesk, ground
from pockethive.core.ledger_seals import SealDesk
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.ledger_verdicts import VerdictDesk
from pockethive.core.ledger_votes import VoteDesk
from pockethive.core.ledger_work import WorkDesk, debtors, mark_all
from pockethive.core.lifecycle import Move, Status
from pockethive.core.message import AskOffer, Made, Opened, Progress, Replicate, VerifyOffer
from pockethive.core.polling import poll_key
from pockethive.core.ports import VerifySignature
from pockethive.core.task import DeviceId, RunId, Task, TaskId
from pockethive.core.watch import Watch

__all__ = ["Ledger", "LedgerSettings"]

TICK_SECONDS = 0.5
REMEMBER_SECONDS = 30.0  # an ended run is kept, to tell devices that missed its end

Effects = Iterator[Effect]


class Ledger:
    """`handle` is the only way in."""

    def __init__(self, settings: LedgerSettings, verify: VerifySignature) -> None:
        self._device = settings.device
        self._runs: dict[RunId, RunState] = {}
        self._openings: dict[RunId, Opening] = {}
        self._by_task: dict[TaskId, tuple[RunState, TaskState]] = {}
        self._walls: dict[RunId, float] = {}  # unix time minus lease clock
        self._members: tuple[Member, ...] = ()
        self._watch = Watch(settings.device)
        self._ticking = False
        desk = Desk(settings.device, settings.limits, verify)
        self._work = WorkDesk(desk, self._watch, posts=settings.posts)
        self._opener = OpeningDesk(settings, desk)
        self._local = LocalDesk(self._work, self._opener, settings, self._watch)
        self._notices = NoticeDesk(self._work)
        self._anew = AnewDesk(self._work, self._opener, self._watch, self._by_task)
        self._credit = CreditDesk(desk, settings.secret, self._runs, self._anew.distrusted)
        self._lots = LotsDesk(self._work, settings.secret)
        self._verdicts = VerdictDesk(self._work, self._credit, self._lots, verify)
        self._votes = VoteDesk(self._work, self._credit)
        self._seals = SealDesk(desk, self._watch, settings, verify)
        self._restart = RestartDesk(self._work, self._votes, verify)
        again, forget = self._anew.again, self._forget
        kept = Kept(runs=self._runs, tasks=self._by_task, again=again, forget=forget)
        self._claims = ClaimDesk(settings, (desk, self._opener, self._seals), kept, verify)

    @property
    def ground(self) -> tuple[Event, ...]:
        """Events that tell a new ledger what this one knows beside its runs."""
        return ground(self._credit.known, self._members, self._watch.lost)

    def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
        """Take one event; return what is to be done.

        Raises:
            ProtocolError: somebody broke the protocol; nothing has changed.
        """
        return tuple(self._handle(event, now))

    def _handle(self, event: Event, now: float) -> Effects:  # noqa: C901 - one line per event
        if isinstance(event, SkillDone | SkillFailed):  # told most often, and no claim's matter
            yield from self._worked(event, now)
            return
        yield from self._claims.handle(event, now)
        match event:
            case RunAdopted(run=run, wall=wall):
                self._walls[run] = wall - now
                yield from self._start_ticking(now)
            case QuestionShown() | OwnerAnswered():
                yield from self._asked(event, now)
            case GoalSubmitted(run=run, wall=wall):
                self._walls[run] = wall - now
            case CreditsRead(credits=credits_):
                self._credit.read(credits_)
            case MembersChanged(members=members):
                self._members = members
                self._local.meet(members)
                self._anew.meet(members)
                self._votes.meet(members)
                self._credit.meet(members)
                self._watch.forget(member.device for member in members)
                for run_state in list(self._runs.values()):
                    if run_state.members_changed():
                        yield from self._tend_run(run_state, now)
            case GraphOpened():
                yield from self._begin(event, now)
            case GraphClosed(run=run, detail=detail):
                yield from self._close_run(run, detail, now)
            case EntryArrived(entry=entry):
                yield from self._stored(entry, now)
            case MessageArrived(sender=sender, message=Made() | Progress() | Opened() as message):
                yield from self._told(sender, message, now)
            case MessageArrived(sender=sender, message=AskOffer() as ask):
                yield from self._notices.asked(sender, ask, now)
            case WitnessAnswered():
                yield from self._answered(event, now)
            case PingAnswered():
                yield from self._pinged(event, now)
            case SendFailed():
                self._undelivered(event, now)
            case Restarted(wall=wall):
                yield from self._restarted(wall, now)
            case TaskRead():
                yield from self._read(event, now)
            case TimerFired(name="tick"):
                yield from self._tick(now)
            case TimerFired(name=name):
                opening = self._openings.get(RunId(name.removeprefix("opening:")))
                if opening is not None:
                    yield from self._open(opening, now)

    # opening and closing

    def _begin(self, event: GraphOpened, now: float) -> Effects:
        """See first who answers: only those are named as witnesses."""
        if event.run in self._runs or event.run in self._openings:
            return
        if event.run not in self._walls:
            raise ProtocolError(f"run {event.run} was opened, but its goal never came here")
        present = [m for m in self._members if m.device not in self._watch.lost]
        opening, asking = self._opener.begin(event, present, now)
        self._openings[event.run] = opening
        yield from asking
        if not opening.silent:
            yield from self._open(opening, now)

    def _open(self, opening: Opening, now: float) -> Effects:
        wall = self._walls[opening.event.run]
        run, effects = self._opener.open(opening, self._members, wall, now)
        del self._openings[run.id]
        self._runs[run.id] = run
        self._by_task.update({state.id: (run, state) for state in run.tasks.values()})
        yield from (*effects, *self._tend_run(run, now), *self._claims.opened(run, now))
        yield from self._start_ticking(now)

    def _start_ticking(self, now: float) -> Effects:
        if not self._ticking:
            self._ticking = True
            yield SetTimer(name="tick", at=now + TICK_SECONDS)

    def _restarted(self, wall: float, now: float) -> Effects:
        """Say again all that may not have been done; a round of every task follows at once."""
        self._walls = dict.fromkeys(self._walls, wall - now)
        self._notices.begin_anew(now)
        for opening in self._openings.values():
            yield from self._opener.ask_again(opening, now)
        yield from self._restart.runs(self._runs.values(), now)
        self._ticking = True
        yield SetTimer(name="tick", at=now)

    def _read(self, event: TaskRead, now: float) -> Effects:
        known = self._by_task.get(event.task)
        if known is not None and known[1].open:
            yield from self._restart.read(*known, event.entries, now)
            yield from self._tend_run(known[0], now)

    def _close_run(self, run_id: RunId, detail: str, now: float) -> Effects:
        opening = self._openings.get(run_id)
        if opening is not None:
            yield from self._open(opening, now)
        run = self._runs.get(run_id)
        if run is None:
            return
        run.closed = True
        for state in run.tasks.values():
            if state.open:
                yield from self._stop(run, state, detail, now)
                run.touched(state, now)

    def _stop(self, run: RunState, state: TaskState, detail: str, now: float) -> Effects:
        """Nobody wants a task any more."""
        yield from self._local.stop(run, state)
        yield from self._work.desk.close(run, state, Move.CANCEL, stopped(state, detail), now)

    # what comes in

    def _stored(self, entry: Entry, now: float) -> Effects:
        """An entry of this device stands in the DHT, or an invitation is signed."""
        if entry.author != self._device:
            return
        body = entry.body
        task = body.id if isinstance(body, Task) else getattr(body, "task", None)
        known = None if task is None else self._by_task.get(task)
        if known is not None and entry.kind is Kind.INVITE:
            yield from self._lots.invited(*known, entry)
        if known is not None and self._local.stored(known[0], known[1], entry):
            yield from self._tend_run(known[0], now)
        if known is None or known[1].publishing is None or known[1].publishing.body != body:
            return
        run, state = known
        state.publishing = None
        if entry.kind in (Kind.TASK, Kind.SEAL):
            state.entry = state.entry or entry
            yield from self._seals.stored(run, state, entry, now)
            yield from self._tend(run, state, now)
            return
        if entry.kind in (Kind.WAIVER, Kind.BALLOT, Kind.RULING):
            judge = self._verdicts.questions if entry.kind is Kind.RULING else self._votes
            yield from judge.stored(run, state, entry, now)
            yield from self._tend(run, state, now)
            return
        state.end = entry
        run.touched(state, now)
        yield from self._work.desk.ended(run, state)
        yield from self._tend_run(run, now)

    def _told(self, sender: DeviceId, message: Made | Progress | Opened, now: float) -> Effects:
        """A worker or verifier says something of a task that was offered."""
        task = task_of(sender, message.entry) if isinstance(message, Made) else message.task
        known = None if task is None else self._by_task.get(task)
        if known is None:
            return
        run, state = known
        awaited = state.open and state.status is not Status.WAITING  # else offered to nobody
        if awaited and isinstance(message, Progress):
            yield from self._verdicts.told(run, state, sender, message, now)
        elif awaited and isinstance(message, Made):
            yield from self._verdicts.made(run, state, message, now)
        elif not state.open:
            yield from self._work.desk.tell_end(state, sender)
        self._heard(sender, now)
        if awaited:
            yield from self._votes.told(run, state, sender, message, now)
            yield from self._tend(run, state, now)

    def _worked(self, event: SkillDone | SkillFailed, now: float) -> Effects:
        """This device's agent has ended what was ordered from it directly."""
        known = self._by_task.get(event.task)
        if known is not None and self._local.awaits(known[1], event.epoch):
            yield from self._local.worked(*known, event, now)
            yield from self._tend_run(known[0], now)

    def _asked(self, event: QuestionShown | OwnerAnswered, now: float) -> Effects:
        """The owner sees an output that he is asked about, or answers."""
        known = self._by_task.get(event.task)
        yield from self._verdicts.questions.heard(known, event, now)
        if known is not None:
            yield from self._tend(*known, now)

    def _answered(self, event: WitnessAnswered, now: float) -> Effects:
        known = self._by_task.get(TaskId(poll_key(event.ask)))
        if known is not None and known[1].open:
            run, state = known
            self._seals.answered(state, event)
            yield from self._verdicts.answered(state, event, now)
            yield from self._tend(run, state, now)

    def _pinged(self, event: PingAnswered, now: float) -> Effects:
        if event.alive:
            if self._watch.restarted(event.device, event.process, now):
                yield from self._work.device_restarted(self._runs.values(), event.device, now)
            self._heard(event.device, now)
        elif self._watch.answered(event.device, alive=False, now=now):
            self._work.device_lost(self._runs.values(), event.device, now)
            yield from self._tend_all(now)
        for opening in list(self._openings.values()):
            opening.answered(event.device, alive=event.alive)
            if self._opener.decided(opening, self._members):
                yield from self._open(opening, now)

    def _heard(self, device: DeviceId, now: float) -> None:
        """A message is as good as an answer; one that was lost is back."""
        if device in self._watch.lost:
            mark_all(self._runs.values())
        self._watch.heard(device, now)

    def _undelivered(self, event: SendFailed, now: float) -> None:
        to, message = event.to, event.message
        if isinstance(message, VerifyOffer | Replicate) and message.task in self._by_task:
            self._by_task[message.task][1].unreached(to, now)
        self._watch.doubt(to)

    # what goes on

    def _tick(self, now: float) -> Effects:
        if self._watch.settle(now):
            mark_all(self._runs.values())
        yield from self._tend_all(now)
        yield from self._notices.sweep()
        yield from self._verdicts.questions.sweep()
        yield from self._watch.pings(debtors(self._runs.values()), now)
        for run in list(self._runs.values()):
            for state in run.retired:
                yield from self._work.desk.publish_due(state, now)
            if run.spent:
                run.agenda.mark_all()
            if run.unfinished:
                continue
            run.ended_at = now if run.ended_at is None else run.ended_at
            if now > run.ended_at + REMEMBER_SECONDS:
                self._forget(run)
        self._ticking = bool(self._runs) or self._claims.pursued
        if self._ticking:
            yield SetTimer(name="tick", at=now + TICK_SECONDS)

    def _forget(self, run: RunState) -> None:
        del self._runs[run.id]
        self._local.forget(run)
        self._walls.pop(run.id, None)
        for state in (*run.tasks.values(), *run.retired):
            del self._by_task[state.id]

    def _tend_all(self, now: float) -> Effects:
        for run in list(self._runs.values()):
            yield from self._tend_run(run, now)

    def _tend_run(self, run: RunState, now: float) -> Effects:
        """Whatever is due, in graph order."""
        yield from ledger_budget.watch(self._work.desk.limits, run, now)
        for place in run.agenda.round(now):
            yield from self._tend(run, run.at(place), now)
        yield from self._local.orders(run, now)

    def _tend(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Do what is due for one task."""
        if ledger_budget.stops(run, state, now):
            yield from self._stop(run, state, run.spent, now)
        if state.local is not None:
            yield from self._local.tend(run, state, now)
        if state.local is not None:
            run.touched(state, now)
            return
        yield from self._work.desk.publish_due(state, now)
        if state.entry is not None and state.open:
            yield from self._further(run, state, now)
        if run.id in self._walls:
            yield from self._notices.tend(run, state, self._members, self._walls[run.id], now)
        run.touched(state, now)

    def _further(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Bring a task that stands on its way."""
        if state.sealing is not None or self._seals.foreign(state):
            yield from self._seals.tend(run, state, self._members, now)
            if state.hopeless:
                yield from self._anew.hopeless(run, state, now)
            return
        if state.status is not Status.PROPOSED and self._work.awaits(state):
            yield from self._work.missing(run, state, now)
            if state.patience is not None or not state.open:
                return
        if state.status is Status.WAITING:
            yield from self._work.unlock(run, state, now)
        if self._seals.wanted(state):
            yield from self._seals.begin(state, self._members, now)
        elif state.status is Status.READY:
            yield from self._local.offer(run, state, now)
        elif state.status is Status.CLAIMED:
            yield from self._work.overdue(run, state, now)
            yield from ledger_deadlines.soft(run, state, self._members, self._watch.lost, now)
            yield from self._votes.tend(run, state, now)
        elif state.status is Status.PROPOSED:
            yield from self._verdicts.tend(run, state, self._members, now)
