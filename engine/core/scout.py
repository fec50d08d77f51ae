"""The scout: takes offers, gets leases, lets agents work, proposes outputs and holds them.

Rules guarded here: no work without a lease; none while witnesses show an accepted value; when the
lease is gone, the work stops. `now` is a suspend-aware monotonic clock in seconds.
"""

from collections.abc import Iterator

from pockethive.core import scout_vote
from pockethive.core.acquisition import Phase
from pockethive.core.ballot import votes
from pockethive.core.effects import (
    CancelTimer,
    Effect,
    Send,
    SetTimer,
    StopSkill,
)
from pockethive.core.entry import Body, Entry, Output, Pledge
from pockethive.core.events import (
    EntryArrived,
    Event,
    Leaving,
    LendingChanged,
    MembersChanged,
    MessageArrived,
    SendFailed,
    ShardRead,
    SkillDone,
    SkillFailed,
    TaskRead,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.idle import ONLY_IDLE
from pockethive.core.message import AskOpening, Counted, Ended, LetGo, Made, Offer
from pockethive.core.people import is_own, may_succeed
from pockethive.core.polling import poll_key
from pockethive.core.ports import VerifySignature
from pockethive.core.scout_job import BUSY, CLAIM_SECONDS, PURPOSES, Job, Stage
from pockethive.core.scout_settings import ScoutSettings
from pockethive.core.seeker import TIMER, Able, Seeker
from pockethive.core.sources import READ_AGAIN_SECONDS
from pockethive.core.task import DeviceId, Task, TaskId

__all__ = ["Scout", "ScoutSettings"]

MAX_JOBS = 64
MAX_LATER = 1_024
GRACE_SECONDS = 60.0  # for others' work in hand when this device stops lending itself
UNLEND = "unlend scout"
AGAIN_SECONDS = 1.0  # after a message or a renewal that reached too few

Effects = Iterator[Effect]


class Scout:
    """`handle` is the only way in. Jobs are bounded; offers beyond that wait until one ends.

    Meanwhile they are as free for others as before: nobody holds a lease of them.
    """

    def __init__(self, settings: ScoutSettings, verify: VerifySignature) -> None:
        self._settings, self._verify = settings, verify
        self._jobs: dict[TaskId, Job] = {}
        self._later: dict[TaskId, Offer] = {}  # came when there was no room for a job
        self._owners: dict[DeviceId, str] = {}  # of members, who are certified by them
        self._leaving = False
        able = Able(device=settings.device, skills=settings.skills, has_model=settings.has_model)
        self._seeker = Seeker(able) if settings.seeks else None
        self._seeking = False
        self._lending = not settings.gated

    @property
    def open(self) -> int:
        """Tasks it pursues now."""
        return len(self._jobs)

    @property
    def leases(self) -> int:
        """Leases it holds now. Any thread."""
        return sum(job.claimed for job in tuple(self._jobs.values()))

    def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
        """Take one event; return what is to be done."""
        return tuple(self._handle(event, now))

    def _handle(self, event: Event, now: float) -> Effects:  # noqa: C901 - one line per event
        match event:
            case MembersChanged(members=members):
                self._owners = {member.device: member.owner_key for member in members}
                yield from self._begin_seeking(now)
            case MessageArrived(sender=sender, message=Offer() as offer):
                yield from self._offered(sender, offer, now)
            case MessageArrived(sender=sender, message=AskOpening() | Counted() as message):
                yield from self._asked(sender, message, now)
            case MessageArrived(sender=sender, message=LetGo() as message):
                yield from self._let_go(sender, message, now)
            case MessageArrived(message=Ended(task=task, entry=entry)):
                yield from self._ended(task, entry, now)
            case LendingChanged(open=lending):
                yield from self._lend(now, lending=lending)
            case TimerFired(name=name) if name == UNLEND:
                yield from self._give_back(now)
            case Leaving(patient=patient):
                yield from self._leave(now, patient=patient)
            case TimerFired(name=name) if name == TIMER and self._seeker is not None:
                yield from self._seeker.turn(now, free=self._free > 0)
            case ShardRead() if self._seeker is not None:
                yield from self._seeker.read(event, now, free=self._free)
            case TimerFired(name=name):
                yield from self._fired(name, now)
            case WitnessAnswered():
                yield from self._answered(event, now)
            case TaskRead():
                yield from self._read(event)
            case SkillDone():
                yield from self._done(event, now)
            case SkillFailed(task=task, epoch=epoch, reason=reason):
                yield from self._failed(task, epoch, reason, now)
            case EntryArrived(entry=entry):
                yield from self._signed(entry, now)
            case SendFailed(message=Made(entry=entry)):
                made = entry.body
                job = self._jobs.get(made.task) if isinstance(made, Output | Pledge) else None
                if job is not None:
                    yield job.set("tell", now + AGAIN_SECONDS)

    @property
    def _free(self) -> int:
        """Hands for work of others that nobody has offered yet."""
        if self._leaving or not self._lending:
            return 0
        return max(0, self._settings.concurrency - len(self._jobs))

    def _begin_seeking(self, now: float) -> Effects:
        if self._seeker is not None and not self._seeking:
            self._seeking = True
            yield self._seeker.begin(now)

    def _offered(self, sender: DeviceId, offer: Offer, now: float) -> Effects:
        task = offer.entry.body
        if (
            self._leaving
            or not isinstance(task, Task)
            or not self._fits(task)
            or offer.task != task.id
            or sender != task.owner
        ):
            return
        known = self._jobs.get(task.id)
        if known is not None:
            later = task.committee.generation > known.task.committee.generation
            if not later or not may_succeed(task, known.task):
                return
            yield from self._stop(known)  # its lease ended with its witnesses
            yield from self._drop(known, now)
        if len(self._jobs) < MAX_JOBS:
            yield from self._take(offer, now)
        elif task.id in self._later or len(self._later) < MAX_LATER:
            self._later[task.id] = offer

    def _take(self, offer: Offer, now: float) -> Effects:
        """Make a job of an offer; it begins at once where hands are free."""
        self._jobs[offer.task] = Job(offer, self._settings.device, self._verify)
        yield from self._next(now)

    def _leave(self, now: float, *, patient: bool) -> Effects:
        """Take no more offers; leave what has not been claimed, or everything, to others."""
        self._leaving = True
        for job in list(self._jobs.values()):
            if not (patient and job.claimed):
                yield from self._give_up(job, "this device is leaving", now, "returned")

    def _lend(self, now: float, *, lending: bool) -> Effects:
        """Others may have this device, or not any more: what they have not got yet is left."""
        self._lending = lending
        if lending:
            yield CancelTimer(name=UNLEND)
            return
        self._later = {t: o for t, o in self._later.items() if self._is_own(o.entry.body)}
        for job in list(self._jobs.values()):
            if not job.claimed and not self._is_own(job.task):
                yield from self._give_up(job, ONLY_IDLE, now, "returned")
        yield SetTimer(name=UNLEND, at=now + GRACE_SECONDS)

    def _give_back(self, now: float) -> Effects:
        """The time of others' work in hand is up; an output that is held costs nothing."""
        for job in list(self._jobs.values()):
            if not self._lending and job.stage in BUSY and not self._is_own(job.task):
                yield from self._give_up(job, ONLY_IDLE, now, "returned")

    def _is_own(self, task: Body) -> bool:
        return isinstance(task, Task) and is_own(
            task, self._settings.own_key, self._owners.get(task.owner)
        )

    def _fits(self, task: Task) -> bool:
        alone = self._settings.owner_key  # whom it works for, if not for all
        served = alone is None or is_own(task, alone, self._owners.get(task.owner))
        return self._settings.can(task) and served and (self._lending or self._is_own(task))

    def _fired(self, name: str, now: float) -> Effects:
        purpose, _, task = name.partition(":")
        job = self._jobs.get(TaskId(task))
        if job is None or purpose not in PURPOSES:
            return
        job.fired(purpose)
        if purpose == "retry" and job.lease.phase is Phase.BACKING_OFF:
            yield from job.lease.begin(now)
        elif purpose == "read" and job.stage is Stage.GETTING:
            yield from self._read_again(job, now)
        elif purpose == "renew":
            yield from self._renew(job, now)
        else:
            yield from job.due(purpose, now)

    def _next(self, now: float) -> Effects:
        """Begin with queued jobs as long as there are free hands."""
        busy = sum(job.stage in BUSY for job in self._jobs.values())
        for job in list(self._jobs.values()):
            if busy >= self._settings.concurrency:
                return
            if job.stage is Stage.QUEUED:
                busy += 1
                job.stage = Stage.GETTING
                yield from job.lease.begin(now)
                yield from self._read_again(job, now)

    def _read_again(self, job: Job, now: float) -> Effects:
        if job.sources.ready:
            return
        if job.sources.hopeless:
            yield from self._give_up(job, "its inputs could not be found in the network", now)
            return
        yield from job.sources.read()
        yield job.set("read", now + READ_AGAIN_SECONDS)

    def _read(self, event: TaskRead) -> Effects:
        for job in list(self._jobs.values()):
            if job.stage is Stage.GETTING:
                job.sources.take(event)
                yield from self._work_if_ready(job)

    def _answered(self, event: WitnessAnswered, now: float) -> Effects:
        job = self._jobs.get(TaskId(poll_key(event.ask)))
        if job is None:
            return
        lease, before = job.lease, job.lease.phase
        yield from lease.answered(event, now)
        if lease.phase is Phase.GIVEN_UP:
            yield from self._drop(job, now)
        elif lease.phase is Phase.BACKING_OFF and before is not Phase.BACKING_OFF:
            yield job.set("retry", lease.retry_at)
        elif lease.phase is Phase.HELD and not job.claimed:
            yield from self._claimed(job, now)
        elif lease.failing:
            yield job.set("renew", now + AGAIN_SECONDS)

    def _claimed(self, job: Job, now: float) -> Effects:
        job.claimed, job.held_since = True, now
        yield job.set("renew", now + job.lease.renew_seconds)
        if job.lease.accepted is not None:
            job.stage = Stage.HOLDING
            yield job.progress("accepted", job.lease.accepted.output)
            yield from self._next(now)
            return
        yield (
            job.progress("claimed", "")
            if votes(job.task)
            else job.set("claim", now + CLAIM_SECONDS)
        )
        yield from self._work_if_ready(job)

    def _work_if_ready(self, job: Job) -> Effects:
        if job.stage is Stage.GETTING and job.claimed and job.sources.ready:
            job.stage = Stage.WORKING
            yield from job.cancel("read")
            yield job.order

    def _renew(self, job: Job, now: float) -> Effects:
        if job.left_to_owner(now):
            yield from self._drop(job, now)
            return
        questions = job.lease.renew(now)
        if job.lease.phase is Phase.GIVEN_UP or job.held_too_long(now):
            yield from self._give_up(job, "the lease could not be kept", now)
            return
        yield from questions
        yield job.set("renew", now + job.lease.renew_seconds)
        # what the owner has not ended by now it may not have heard of
        if job.stage is Stage.PLEDGED or (job.stage is Stage.HOLDING and job.told):
            yield from job.announced_again()
        elif job.stage is Stage.HOLDING and job.lease.accepted is not None:
            yield job.progress("accepted", job.lease.accepted.output)
        elif job.stage is Stage.SIGNING and job.made is not None:
            yield job.made
        else:
            yield job.progress("claimed", "")

    def _done(self, event: SkillDone, now: float) -> Effects:
        job = self._jobs.get(event.task)
        if job is None or job.stage is not Stage.WORKING or job.lease.epoch != event.epoch:
            return
        if not votes(job.task):
            yield from scout_vote.sign(job, event)
            return
        job.answer = event
        if job.counted is None:
            yield from scout_vote.pledge(job, event, self._settings.device)
        yield from self._vote_ends(job, now)

    def _vote_ends(self, job: Job, now: float) -> Effects:
        """Sign the answer, or give the lease back, once it is known whether it has won."""
        won = scout_vote.has_won(job)
        if won and job.stage in (Stage.WORKING, Stage.PLEDGED):
            yield from scout_vote.reveal(job)
        elif won is False:
            yield from self._give_up(job, scout_vote.OUTVOTED, now)

    def _asked(self, sender: DeviceId, message: AskOpening | Counted, now: float) -> Effects:
        """The owner asks for an answer that was pledged, or tells which one counts."""
        job = self._jobs.get(message.task)
        if job is None or sender != job.task.owner or job.output is not None:
            return
        if isinstance(message, AskOpening):
            yield from scout_vote.opened(job, message)
        elif scout_vote.is_count(message.entry, sender):
            job.counted = message.entry
            yield from self._vote_ends(job, now)

    def _signed(self, entry: Entry, now: float) -> Effects:
        job = self._jobs.get(entry.body.task) if isinstance(entry.body, Output | Pledge) else None
        if job is None or job.stage is not Stage.SIGNING or job.made is None:
            return
        if entry.author != self._settings.device or entry.body != job.made.body:
            return
        if isinstance(entry.body, Pledge):
            job.stage, job.pledge = Stage.PLEDGED, entry
            yield Send(to=job.task.owner, message=job.announcement)
            yield from self._vote_ends(job, now)
            yield from self._next(now)
            return
        yield from job.announce(entry, now)
        yield from self._next(now)

    def _failed(self, task: TaskId, epoch: int, reason: str, now: float) -> Effects:
        job = self._jobs.get(task)
        if job is not None and job.stage is Stage.WORKING and job.lease.epoch == epoch:
            yield from self._give_up(job, reason, now)

    def _let_go(self, sender: DeviceId, message: LetGo, now: float) -> Effects:
        job, waits = self._jobs.get(message.task), self._later.get(message.task)
        if waits is not None and waits.entry.author == sender and not message.epoch:
            del self._later[message.task]
        if job is None or (sender, message.epoch) != (job.task.owner, job.lease.epoch):
            return
        if not message.soft or job.stage in BUSY:  # what is made already is not thrown away
            told = "returned" if message.soft else ""
            yield from self._give_up(job, message.reason, now, told)

    def _ended(self, task: TaskId, entry: Entry, now: float) -> Effects:
        self._later.pop(task, None)
        job = self._jobs.get(task)
        if job is None:
            return
        if job.ends(entry):
            yield from self._stop(job)
            yield from job.relieved(entry)
            yield from self._drop(job, now)

    def _give_up(self, job: Job, reason: str, now: float, told: str = "failed") -> Effects:
        """Stop, free the lease, and tell the owner if it knew of the claim."""
        yield from self._stop(job)
        yield from job.lease.free()
        yield from job.farewell(told, reason)
        yield from self._drop(job, now)

    def _stop(self, job: Job) -> Effects:
        if job.stage is Stage.WORKING:
            yield StopSkill(task=job.task.id, epoch=job.lease.epoch)

    def _drop(self, job: Job, now: float) -> Effects:
        self._jobs.pop(job.task.id, None)
        yield from job.cancel_all()
        while self._later and len(self._jobs) < MAX_JOBS:
            oldest = next(iter(self._later))
            yield from self._take(self._later.pop(oldest), now)
        yield from self._next(now)
