"""One task as a scout pursues it, from the offer to its end."""

from collections.abc import Iterator
from enum import Enum

from pockethive.core.acquisition import Acquisition
from pockethive.core.effects import CancelTimer, Effect, Publish, RunSkill, Send, SetTimer, Spare
from pockethive.core.entry import Close, Commit, Entry
from pockethive.core.events import SkillDone
from pockethive.core.fields import clip
from pockethive.core.fold import proven
from pockethive.core.message import Made, Offer, Progress
from pockethive.core.ports import VerifySignature
from pockethive.core.ruling import asks
from pockethive.core.sources import Sources
from pockethive.core.task import DeviceId, Task

CLAIM_SECONDS = 0.1  # work that ends sooner is told with its output, which shows the same grants
ASKED_SECONDS = 60.0  # how long an output that its owner is asked about is held
MAX_HOLD_SECONDS = 900.0  # an owner who never ends a task does not keep its output held for ever
HOLD_SECONDS = 0.3  # an output that is committed sooner needs no hold: the lease runs


class Stage(Enum):
    """What a scout does for a task."""

    QUEUED = "queued"  # for a free pair of hands
    GETTING = "getting"  # lease and inputs
    WORKING = "working"
    SIGNING = "signing"  # the output, or its pledge, is being published
    PLEDGED = "pledged"  # the answer waits for the end of a vote
    HOLDING = "holding"  # the output waits for verdicts; or an accepted one for its commit


BUSY = frozenset((Stage.GETTING, Stage.WORKING))


class Job:
    """State of one task at one scout."""

    def __init__(self, offer: Offer, device: DeviceId, verify: VerifySignature) -> None:
        assert isinstance(offer.entry.body, Task)
        self.task = offer.entry.body
        self.stage = Stage.QUEUED
        self.lease = Acquisition(offer.entry, device)
        self.sources = Sources(offer.inputs, self.task, verify)
        self._remarks = offer.remarks
        self._verify = verify
        self.claimed = False
        self.told = False  # the output was announced to the owner
        self.made: Publish | None = None  # to be published again until it stands
        self.output: Entry | None = None
        self.answer: SkillDone | None = None
        self.pledge: Entry | None = None
        self.counted: Entry | None = None  # how the vote on it ended
        self.held_since = 0.0
        self._timers: set[str] = set()

    @property
    def order(self) -> RunSkill:
        """What the agent is told to do, once lease and inputs are there."""
        return RunSkill(
            task=self.task,
            epoch=self.lease.epoch,
            inputs=self.sources.resolved,
            remarks=self._remarks,
        )

    def held_too_long(self, now: float) -> bool:
        """Whether its owner seems never to end it."""
        return now - self.held_since > MAX_HOLD_SECONDS

    def left_to_owner(self, now: float) -> bool:
        """Whether its output has been held long enough for a person, who may take days to answer.

        The owner's device has it by then. The lease runs out without a word: witnesses go on to
        know whose epoch it was, so that it can still be committed at it.
        """
        if self.stage is not Stage.HOLDING or self.lease.accepted is not None:
            return False
        heard = not self.waits("tell") and now - self.held_since > ASKED_SECONDS
        return heard and asks(self.task)

    @property
    def announcement(self) -> Made:
        """The output or pledge for the owner, with the grants under which it was made."""
        entry = self.output or self.pledge
        assert entry is not None
        return Made(entry=entry, grants=self.lease.grants)

    def announced_again(self) -> Iterator[Send]:
        """Output or pledge once more. A pledge says nothing to an owner who missed the claim."""
        if self.stage is Stage.PLEDGED:
            yield self.progress("claimed", "")
        yield Send(to=self.task.owner, message=self.announcement)

    def progress(self, state: str, reason: str) -> Send:
        """What the owner is told of how the work goes."""
        message = Progress(
            task=self.task.id,
            epoch=self.lease.epoch,
            state=state,
            reason=clip(reason),
            grants=() if state in ("failed", "returned") else self.lease.grants,
        )
        return Send(to=self.task.owner, message=message)

    def announce(self, entry: Entry, now: float) -> Iterator[Effect]:
        """The output is signed: tell the owner at once, and hold it if it is not committed soon.

        The lease runs as it did; a witness accepts the output of its holder, held or not.
        """
        self.stage, self.output, self.held_since = Stage.HOLDING, entry, now
        self.told, self.lease.output = True, entry
        yield from self.cancel("claim")
        yield Send(to=self.task.owner, message=self.announcement)
        yield self.set("hold", now + HOLD_SECONDS)

    def due(self, purpose: str, now: float) -> Iterator[Effect]:
        """A timer fired that concerns what the owner or the witnesses have not been told yet."""
        if purpose == "claim" and self.stage in BUSY:
            yield self.progress("claimed", "")
        elif purpose == "hold" and self.output is not None:
            yield from self.lease.propose(self.output, now)
        elif purpose == "tell" and (self.told or self.stage is Stage.PLEDGED):
            yield Send(to=self.task.owner, message=self.announcement)

    def farewell(self, told: str, reason: str) -> Iterator[Send]:
        """What the owner hears of a claim that is given up: also of the claim, if not before.

        Nothing where it has said itself that it is to be given up: then `told` is empty.
        """
        if not self.claimed or not told:
            return
        if self.waits("claim"):
            yield self.progress("claimed", "")
        yield self.progress(told, reason)

    def ends(self, entry: Entry) -> bool:
        """Whether this is the task's end: closed by its owner, or committed by its witnesses."""
        body = entry.body
        if isinstance(body, Close):
            return body.task == self.task.id and entry.author == self.task.owner
        return proven(entry, self.task, self._verify)

    def relieved(self, entry: Entry) -> Iterator[Effect]:
        """What the task's end makes needless: a lease, or putting the output into the DHT."""
        if isinstance(entry.body, Close):
            yield from self.lease.free()
        elif isinstance(entry.body, Commit) and entry.author == self.task.owner:
            yield Spare(task=self.task.id, output=entry.body.output)

    def set(self, purpose: str, at: float) -> SetTimer:
        """Set one of this job's timers."""
        self._timers.add(purpose)
        return SetTimer(name=f"{purpose}:{self.task.id}", at=at)

    def waits(self, purpose: str) -> bool:
        """Whether a timer is set."""
        return purpose in self._timers

    def fired(self, purpose: str) -> None:
        """A timer is no longer set."""
        self._timers.discard(purpose)

    def cancel(self, purpose: str) -> Iterator[CancelTimer]:
        """Forget a timer if it is set."""
        if purpose in self._timers:
            self._timers.discard(purpose)
            yield CancelTimer(name=f"{purpose}:{self.task.id}")

    def cancel_all(self) -> Iterator[CancelTimer]:
        """Forget all timers that are set."""
        for purpose in PURPOSES:
            yield from self.cancel(purpose)


PURPOSES = ("retry", "renew", "read", "tell", "claim", "hold")
