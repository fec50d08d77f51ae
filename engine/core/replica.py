"""Replicas: this device does a task again for a vote, without a lease and unseen by anybody.

Guards: no answer leaves this device but to the run's owner, who asked for it; nothing of it can be
fetched before the owner has counted the vote, or the task is committed with the same answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pockethive.core.ballot import pledge_of, votes
from pockethive.core.effects import (
    CancelTimer,
    Effect,
    OpenBlob,
    Publish,
    RunReplica,
    Send,
    SetTimer,
)
from pockethive.core.entry import Ballot, Commit, Entry, Kind, Pledge
from pockethive.core.events import (
    EntryArrived,
    Event,
    Leaving,
    LendingChanged,
    MembersChanged,
    MessageArrived,
    ReplicaDone,
    ReplicaFailed,
    SendFailed,
    TaskRead,
    TimerFired,
)
from pockethive.core.fields import clip
from pockethive.core.fold import proven
from pockethive.core.idle import ONLY_IDLE
from pockethive.core.message import AskOpening, Counted, Ended, Made, Opened, Progress, Replicate
from pockethive.core.people import is_own, may_succeed
from pockethive.core.ports import VerifySignature
from pockethive.core.scout_settings import ScoutSettings
from pockethive.core.sources import READ_AGAIN_SECONDS, Sources
from pockethive.core.task import DeviceId, Task, TaskId

MAX_JOBS: Final = 512  # most of them wait for a vote to end, and cost nothing
TELL_AGAIN_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 1.0
MAX_TELLS: Final = 60  # an owner who never ends a task is not told of it for ever
LEAVING: Final = "this device is leaving"
_PURPOSES: Final = ("read", "tell")

Effects = Iterator[Effect]


class _Stage(Enum):
    GETTING = "getting"
    WORKING = "working"
    PLEDGED = "pledged"


@dataclass(slots=True, kw_only=True)
class _Job:
    task: Task
    epoch: int
    sources: Sources
    stage: _Stage = _Stage.GETTING
    answer: ReplicaDone | None = None
    pledge: Publish | None = None
    signed: Entry | None = None
    tells: int = 0

    def timer(self, purpose: str) -> str:
        return f"{purpose}:{self.task.id}"

    def follow(self, task: Task) -> None:
        """Another of the owner's devices keeps the run now: what is said goes there."""
        later = task.committee.generation > self.task.committee.generation
        if later and may_succeed(task, self.task):
            self.task = task


class Replica:
    """`handle` is the only way in. One answer per task; jobs are bounded."""

    def __init__(self, settings: ScoutSettings, verify: VerifySignature) -> None:
        self._settings, self._verify = settings, verify
        self._jobs: dict[TaskId, _Job] = {}
        self._owners: dict[DeviceId, str] = {}
        self._lending = not settings.gated
        self._leaving = False

    @property
    def open(self) -> int:
        """Tasks it does again, or has an answer to that is not counted yet."""
        return len(self._jobs)

    def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
        """Take one event; return what is to be done."""
        return tuple(self._handle(event, now))

    def _handle(self, event: Event, now: float) -> Effects:  # noqa: C901 - one line per event
        match event:
            case MembersChanged(members=members):
                self._owners = {member.device: member.owner_key for member in members}
            case MessageArrived(sender=sender, message=Replicate() as offer):
                yield from self._offered(sender, offer, now)
            case MessageArrived(
                sender=sender, message=AskOpening() | Counted() | Ended() as message
            ):
                yield from self._told(sender, message)
            case TaskRead():
                for job in list(self._jobs.values()):
                    job.sources.take(event)
                    yield from self._work_if_ready(job)
            case ReplicaDone():
                yield from self._done(event, now)
            case ReplicaFailed(task=task, reason=reason) if task in self._jobs:
                yield from self._decline(self._jobs[task], reason)
            case EntryArrived(entry=entry):
                yield from self._signed(entry)
            case TimerFired(name=name):
                yield from self._fired(name, now)
            case SendFailed(message=Made(entry=entry)) if isinstance(entry.body, Pledge):
                if entry.body.task in self._jobs:
                    timer = self._jobs[entry.body.task].timer("tell")
                    yield SetTimer(name=timer, at=now + AGAIN_SECONDS)
            case LendingChanged(open=lending):
                self._lending = lending
                if not lending:
                    yield from self._leave(ONLY_IDLE, kept=lambda job: self._is_own(job.task))
            case Leaving(patient=patient):
                self._leaving = True
                yield from self._leave(LEAVING, kept=lambda _: patient)

    def _offered(self, sender: DeviceId, offer: Replicate, now: float) -> Effects:
        task = offer.entry.body
        if not isinstance(task, Task) or sender != task.owner or task.id != offer.task:
            return
        if not (votes(task) and self._settings.can(task)):
            return
        if task.id in self._jobs:
            self._jobs[task.id].follow(task)
            yield _progress(task, offer.epoch, "checking", "")
            yield from self._say(self._jobs[task.id])
            return
        refusal = self._refusal(task)
        if refusal:
            yield _progress(task, offer.epoch, "unchecked", refusal)
            return
        sources = Sources(offer.inputs, task, self._verify)
        job = _Job(task=task, epoch=offer.epoch, sources=sources)
        self._jobs[task.id] = job
        yield _progress(task, offer.epoch, "checking", "")
        yield from self._read(job, now)
        yield from self._work_if_ready(job)

    def _refusal(self, task: Task) -> str:
        if self._leaving:
            return LEAVING
        if len(self._jobs) >= MAX_JOBS:
            return "this device has its hands full"
        if self._is_own(task):
            return ""
        if self._settings.owner_key is not None:
            return "this device works for its owner alone"
        return "" if self._lending else ONLY_IDLE

    def _is_own(self, task: Task) -> bool:
        return is_own(task, self._settings.own_key, self._owners.get(task.owner))

    def _read(self, job: _Job, now: float) -> Effects:
        if job.sources.ready:
            return
        if job.sources.hopeless:
            yield from self._decline(job, "its inputs could not be found in the network")
            return
        yield from job.sources.read()
        yield SetTimer(name=job.timer("read"), at=now + READ_AGAIN_SECONDS)

    def _work_if_ready(self, job: _Job) -> Effects:
        if job.stage is _Stage.GETTING and job.sources.ready:
            job.stage = _Stage.WORKING
            yield RunReplica(task=job.task, inputs=job.sources.resolved)

    def _done(self, event: ReplicaDone, now: float) -> Effects:
        job = self._jobs.get(event.task)
        if job is None or job.stage is not _Stage.WORKING:
            return
        job.stage, job.answer = _Stage.PLEDGED, event
        device = self._settings.device
        body = Pledge(
            task=job.task.id,
            epoch=job.epoch,
            pledge=pledge_of(job.task.id, device, event.nonce, event.output),
        )
        job.pledge = Publish(kind=Kind.PLEDGE, body=body, expires=job.task.expires)
        yield job.pledge
        yield SetTimer(name=job.timer("tell"), at=now + TELL_AGAIN_SECONDS)

    def _signed(self, entry: Entry) -> Effects:
        job = self._jobs.get(entry.body.task) if isinstance(entry.body, Pledge) else None
        if job is None or job.pledge is None or job.signed is not None:
            return
        if entry.author == self._settings.device and entry.body == job.pledge.body:
            job.signed = entry
            yield Send(to=job.task.owner, message=Made(entry=entry))

    def _fired(self, name: str, now: float) -> Effects:
        purpose, _, task = name.partition(":")
        job = self._jobs.get(TaskId(task))
        if job is None:
            return
        if purpose == "read" and job.stage is _Stage.GETTING:
            yield from self._read(job, now)
        elif purpose == "tell" and job.pledge is not None:
            job.tells += 1
            if job.tells > MAX_TELLS:
                yield from self._drop(job)
                return
            yield from self._say(job)
            yield SetTimer(name=job.timer("tell"), at=now + TELL_AGAIN_SECONDS)

    def _say(self, job: _Job) -> Effects:
        """Say once more what is pledged."""
        if job.signed is not None:
            yield Send(to=job.task.owner, message=Made(entry=job.signed))
        elif job.pledge is not None:
            yield job.pledge

    def _told(self, sender: DeviceId, message: AskOpening | Counted | Ended) -> Effects:
        """Its owner wants to see the answer, says which one counts, or how the task ended."""
        job = self._jobs.get(message.task)
        if job is None or sender != job.task.owner:
            return
        if isinstance(message, AskOpening):
            answer, signed = job.answer, job.signed
            pledge = None if signed is None else signed.body
            if answer and isinstance(pledge, Pledge) and pledge.pledge == message.pledge:
                said = Opened(task=job.task.id, nonce=answer.nonce, output=answer.output)
                yield Send(to=sender, message=said)
            return
        if job.answer is not None and self._shows(job.task, message.entry, job.answer.output):
            yield OpenBlob(output=job.answer.output)
        if isinstance(message, Ended):
            yield from self._drop(job)

    def _shows(self, task: Task, entry: Entry, output: str) -> bool:
        """Whether everybody may know now that this is an answer."""
        body = entry.body
        if isinstance(body, Ballot):
            return entry.author == task.owner and (body.task, body.output) == (task.id, output)
        return (
            isinstance(body, Commit) and body.output == output and proven(entry, task, self._verify)
        )

    def _leave(self, reason: str, kept: Callable[[_Job], bool]) -> Effects:
        """Give up what is not done yet; an answer that waits costs nothing."""
        for job in list(self._jobs.values()):
            if not kept(job) and job.stage is not _Stage.PLEDGED:
                yield from self._decline(job, reason)
            elif self._leaving and not kept(job):
                yield from self._drop(job)

    def _decline(self, job: _Job, reason: str) -> Effects:
        yield _progress(job.task, job.epoch, "unchecked", reason)
        yield from self._drop(job)

    def _drop(self, job: _Job) -> Effects:
        self._jobs.pop(job.task.id, None)
        for purpose in _PURPOSES:
            yield CancelTimer(name=job.timer(purpose))


def _progress(task: Task, epoch: int, state: str, reason: str) -> Send:
    message = Progress(task=task.id, epoch=epoch, state=state, reason=clip(reason))
    return Send(to=task.owner, message=message)
