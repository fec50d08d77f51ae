"""The verifier: takes verify offers, lets the checkers judge, signs the verdict.

Where the task does not end soon it gets a slot, which lets the verdict count without the owner.

Rules guarded here: never a verdict on this device's own output, nor on that of a friend of a
stranger; no verdict without having run every check. Where the owner stays silent, the verifier
itself asks for the commit (`last_word`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from pockethive.core.effects import (
    CancelTimer,
    Effect,
    Publish,
    ReadTask,
    RunChecks,
    Send,
    SetTimer,
    Spare,
)
from pockethive.core.entry import Close, Commit, Entry, Kind, Member, Output, Verdict
from pockethive.core.events import (
    ChecksDone,
    ChecksFailed,
    EntryArrived,
    Event,
    Leaving,
    LendingChanged,
    MembersChanged,
    MessageArrived,
    SendFailed,
    TaskRead,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.fields import clip
from pockethive.core.idle import ONLY_IDLE
from pockethive.core.labels import Label
from pockethive.core.last_word import LastWord
from pockethive.core.lease import AskSlot, FreeLease, Grant, Yes
from pockethive.core.lots import invites
from pockethive.core.message import Ended, Made, Progress, VerifyOffer
from pockethive.core.people import is_own
from pockethive.core.polling import Poll, poll_key
from pockethive.core.ports import VerifySignature
from pockethive.core.rescore import comparable
from pockethive.core.sources import READ_AGAIN_SECONDS, Sources
from pockethive.core.task import DeviceId, Task, TaskId
from pockethive.core.verification import able, independent

SLOT_SECONDS = 0.6  # a task that ends sooner needs none: a slot is for the last word
SLOT_ATTEMPTS = 4
SLOT_AGAIN_SECONDS = 0.4
TELL_AGAIN_SECONDS = 5.0
MAX_TELL_SECONDS = 300.0  # an owner asleep is told ever more rarely, and
MAX_TELLS = 40  # for some three hours
ALONE_TELLS = 3  # who has told it so often without an end asks for the commit itself
AGAIN_SECONDS = 1.0
MAX_JOBS = 64
_PURPOSES = ("slot", "read", "tell")

Effects = Iterator[Effect]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierSettings:
    """What this device can check, and who owns it.

    `model`: the class of its model, hex; empty without one. `lends`: also for other owners' runs;
    `gated`: once LendingChanged says so.
    """

    device: DeviceId
    owner_key: str
    checkers: frozenset[str]
    model: str = ""
    lends: bool = True
    gated: bool = False


class _Stage(Enum):
    GETTING = "getting"
    CHECKING = "checking"
    TELLING = "telling"


@dataclass(slots=True, kw_only=True)
class _Job:
    task: Task
    output: Entry
    made: Output
    invite: Entry
    sources: Sources
    stage: _Stage = _Stage.GETTING
    slot: Poll | None = None
    has_slot: bool = False
    attempts: int = 0
    verdict: Publish | None = None
    signed: Entry | None = None
    last: LastWord | None = None
    tells: int = 0

    @property
    def begun(self) -> bool:
        """Its checkers are at work, or have been."""
        return self.stage is not _Stage.GETTING

    def timer(self, purpose: str) -> str:
        return f"{purpose}:{self.task.id}"


class Verifier:
    """`handle` is the only way in. One output per task at a time; a later epoch replaces it."""

    def __init__(self, settings: VerifierSettings, verify: VerifySignature) -> None:
        self._settings, self._verify = settings, verify
        self._jobs: dict[TaskId, _Job] = {}
        self._members: dict[DeviceId, Member] = {}
        self._polls = 0
        self._lending = not settings.gated
        self._leaving = False

    @property
    def open(self) -> int:
        """Outputs it judges now."""
        return len(self._jobs)

    def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
        """Take one event; return what is to be done."""
        return tuple(self._handle(event, now))

    def _handle(self, event: Event, now: float) -> Effects:  # noqa: C901 - one line per event
        match event:
            case MembersChanged(members=members):
                self._members = {member.device: member for member in members}
            case MessageArrived(sender=sender, message=VerifyOffer() as offer):
                yield from self._offered(sender, offer, now)
            case MessageArrived(sender=sender, message=Ended(task=task, entry=entry)):
                job = self._jobs.get(task)
                if job is not None and sender == job.task.owner:
                    if isinstance(entry.body, Commit):
                        yield Spare(task=task, output=entry.body.output)
                    yield from self._drop(job)
            case LendingChanged(open=lending):
                yield from self._lend(lending=lending)
            case Leaving(patient=patient):
                yield from self._leave(patient=patient)
            case TimerFired(name=name):
                yield from self._fired(name, now)
            case WitnessAnswered():
                yield from self._answered(event, now)
            case TaskRead():
                for job in list(self._jobs.values()):
                    job.sources.take(event)
                    yield from self._check_if_ready(job)
                yield from self._look(event, now)
            case ChecksDone() | ChecksFailed():
                yield from self._judged(event, now)
            case EntryArrived(entry=entry):
                yield from self._signed(entry, now)
            case SendFailed(message=Made(entry=entry)):
                job = self._jobs.get(entry.body.task) if isinstance(entry.body, Verdict) else None
                if job is not None:
                    yield SetTimer(name=job.timer("tell"), at=now + AGAIN_SECONDS)

    def _offered(self, sender: DeviceId, offer: VerifyOffer, now: float) -> Effects:
        task, made = offer.entry.body, offer.output.body
        if self._leaving or not isinstance(task, Task) or not isinstance(made, Output):
            return
        if sender != task.owner or made.task != task.id or not self._may(task, offer.output):
            return
        if not invites(offer.invite, task, offer.output, self._settings.device):
            return
        if not self._lending and not self._is_own(task):
            yield self._not_now(task, made)
            return
        known = self._jobs.get(task.id)
        if known is not None:
            if made.epoch <= known.made.epoch:  # epochs rise from generation to generation
                return
            yield from self._drop(known)
        yield from self._make_room()
        if len(self._jobs) >= MAX_JOBS:
            return
        sources = Sources(offer.inputs, task, self._verify)
        job = _Job(task=task, output=offer.output, made=made, invite=offer.invite, sources=sources)
        self._jobs[task.id] = job
        yield SetTimer(name=job.timer("slot"), at=now + SLOT_SECONDS)
        yield from self._read(job, now)
        yield from self._check_if_ready(job)

    def _make_room(self) -> Effects:
        """A verdict that was told again and again gives way to an output that waits for one."""
        told = (job for job in self._jobs.values() if job.tells > ALONE_TELLS)
        oldest = next(told, None)
        if oldest is not None and len(self._jobs) >= MAX_JOBS:
            yield from self._drop(oldest)

    def _lend(self, *, lending: bool) -> Effects:
        """Others may have this device, or not any more: what is being checked is ended."""
        self._lending = lending
        for job in list(self._jobs.values()):
            if not (lending or job.begun or self._is_own(job.task)):
                yield from self._decline(job, ONLY_IDLE)

    def _not_now(self, task: Task, made: Output) -> Send:
        message = Progress(task=task.id, epoch=made.epoch, state="unchecked", reason=ONLY_IDLE)
        return Send(to=task.owner, message=message)

    def _is_own(self, task: Task) -> bool:
        asking = self._members.get(task.owner)
        return is_own(task, self._settings.owner_key, asking.owner_key if asking else None)

    def _leave(self, *, patient: bool) -> Effects:
        """Take no more offers; what has not begun, or everything, is left to others."""
        self._leaving = True
        for job in list(self._jobs.values()):
            if job.stage is not _Stage.TELLING and not (patient and job.begun):
                yield from self._decline(job, "this device is leaving")
            elif not patient:
                yield from self._drop(job)

    def _may(self, task: Task, output: Entry) -> bool:
        settings = self._settings
        if output.author == settings.device or task.label is Label.DEVICE:
            return False
        if not settings.lends and not self._is_own(task):
            return False
        own = self._members.get(settings.device)
        if own is not None and not independent(
            task.owner_key, self._members.get(output.author), own
        ):
            return False
        can = able(task, settings.checkers, has_model=bool(settings.model))
        return can and comparable(task, output, settings.model)

    def _fired(self, name: str, now: float) -> Effects:
        purpose, _, task = name.partition(":")
        job = self._jobs.get(TaskId(task))
        if job is None or purpose not in _PURPOSES:
            return
        if purpose == "slot" and not job.has_slot:
            yield from self._ask_slot(job, now)
        elif purpose == "read" and job.stage is _Stage.GETTING:
            yield from self._read(job, now)
        elif purpose == "tell" and job.stage is _Stage.TELLING:
            yield from self._tell(job, now)

    def _ask_slot(self, job: _Job, now: float) -> Effects:
        job.attempts += 1
        yield from self._slot_questions(job, now)

    def _slot_questions(self, job: _Job, now: float) -> Effects:
        self._polls += 1
        job.slot = Poll(job.task.id, self._polls, job.task.committee, now)
        request = AskSlot(
            task=job.task.id,
            epoch=job.made.epoch,
            output=job.made.output,
            seconds=job.task.lease_seconds,
            invite=job.invite,
        )
        yield from job.slot.questions(request)

    def _answered(self, event: WitnessAnswered, now: float) -> Effects:
        job = self._jobs.get(TaskId(poll_key(event.ask)))
        if job is not None and job.last is not None:
            commit = job.last.answered(event)
            if commit is not None:
                yield Publish(kind=Kind.COMMIT, body=commit, expires=job.task.expires)
        if job is None or job.slot is None or job.has_slot:
            return
        if not job.slot.take(event, lambda answer: self._is_slot(job, answer)):
            return
        if job.slot.won:
            job.has_slot = True
            if job.stage is not _Stage.TELLING:
                yield self._progress(job, "checking", "")
        elif job.slot.lost:
            job.slot = None
            if job.attempts < SLOT_ATTEMPTS:
                pause = SLOT_AGAIN_SECONDS * 2**job.attempts / 2
                yield SetTimer(name=job.timer("slot"), at=now + pause)
            elif job.stage is not _Stage.TELLING:
                yield from self._decline(job, "no verify slot was to be had")

    def _is_slot(self, job: _Job, answer: Yes) -> bool:
        wanted = (job.task.id, job.made.epoch, self._settings.device, True)
        return isinstance(answer, Grant) and wanted == (
            answer.task,
            answer.epoch,
            answer.holder,
            answer.slot,
        )

    def _read(self, job: _Job, now: float) -> Effects:
        if job.sources.ready:
            return
        if job.sources.hopeless:
            yield from self._decline(job, "its inputs could not be found in the network")
            return
        yield from job.sources.read()
        yield SetTimer(name=job.timer("read"), at=now + READ_AGAIN_SECONDS)

    def _check_if_ready(self, job: _Job) -> Effects:
        if job.stage is not _Stage.GETTING or not job.sources.ready:
            return
        job.stage = _Stage.CHECKING
        yield RunChecks(task=job.task, output=job.output, inputs=job.sources.resolved)

    def _judged(self, event: ChecksDone | ChecksFailed, now: float) -> Effects:
        job = self._jobs.get(event.task)
        if job is None or job.stage is not _Stage.CHECKING or job.made.output != event.output:
            return
        if isinstance(event, ChecksFailed):
            yield from self._decline(job, event.reason)
            return
        verdict = Verdict(
            task=job.task.id,
            epoch=job.made.epoch,
            output=job.made.output,
            worker=job.output.author,
            accept=event.accept,
            checks=event.checks,
            reason=clip(event.reason),
        )
        job.stage = _Stage.TELLING
        job.verdict = Publish(kind=Kind.VERDICT, body=verdict, expires=job.task.expires)
        yield job.verdict
        yield SetTimer(name=job.timer("tell"), at=now + TELL_AGAIN_SECONDS)

    def _signed(self, entry: Entry, now: float) -> Effects:
        body = entry.body
        job = self._jobs.get(body.task) if isinstance(body, Verdict | Commit) else None
        if job is None or job.verdict is None or entry.author != self._settings.device:
            return
        if isinstance(body, Commit):  # its maker need not hold it any more
            yield Send(to=job.output.author, message=Ended(task=job.task.id, entry=entry))
        if job.signed is not None:
            return
        if body == job.verdict.body:
            job.signed = entry
            yield from self._tell(job, now)

    def _tell(self, job: _Job, now: float) -> Effects:
        """Tell the owner, again and again until it ends the task; not for ever."""
        job.tells += 1
        if job.tells > MAX_TELLS:
            yield from self._drop(job)
            return
        if job.signed is not None:
            yield Send(to=job.task.owner, message=Made(entry=job.signed))
        elif job.verdict is not None:
            yield job.verdict
        if job.signed is not None and job.tells >= ALONE_TELLS:
            job.last = job.last or LastWord(job.task, job.output, self._verify)
            yield ReadTask(task=job.task.id)
        pause = min(MAX_TELL_SECONDS, TELL_AGAIN_SECONDS * 2 ** max(0, job.tells - 2 * ALONE_TELLS))
        yield SetTimer(name=job.timer("tell"), at=now + pause)

    def _look(self, event: TaskRead, now: float) -> Effects:
        """The owner has been silent for long: ask for the commit if verdicts suffice."""
        job = self._jobs.get(event.task)
        if job is None or job.last is None or job.signed is None or not event.entries:
            return
        request = job.last.sufficient(event.entries, job.signed)
        if job.last.ended is not None and isinstance(job.last.ended.body, Close):
            yield from self._drop(job)
        elif request is not None:
            yield from self._slot_questions(job, now)  # for a witness that missed it
            self._polls += 1
            poll = Poll(job.task.id, self._polls, job.task.committee, now)
            yield from job.last.ask(request, poll)

    def _decline(self, job: _Job, reason: str) -> Effects:
        """Say that this device cannot judge, so that another one is asked."""
        yield self._progress(job, "unchecked", reason)
        yield from self._drop(job)

    def _drop(self, job: _Job) -> Effects:
        self._jobs.pop(job.task.id, None)
        for purpose in _PURPOSES:
            yield CancelTimer(name=job.timer(purpose))
        if job.slot is not None and job.signed is None:
            self._polls += 1
            poll = Poll(job.task.id, self._polls, job.task.committee, 0.0)
            yield from poll.questions(FreeLease(task=job.task.id, epoch=job.made.epoch))

    def _progress(self, job: _Job, state: str, reason: str) -> Send:
        message = Progress(task=job.task.id, epoch=job.made.epoch, state=state, reason=clip(reason))
        return Send(to=job.task.owner, message=message)
