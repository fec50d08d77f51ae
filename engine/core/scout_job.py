"""One task as a scout pursues it, from the offer to its end."""

from collections.abc import Iterator
from enum import Enum

from pockethive.core.acquisition import Acquisition
from pockethive.core.effects import CancelTimer, Publish, SetTimer
from pockethive.core.entry import Entry
from pockethive.core.message import Made, Offer
from pockethive.core.ports import VerifySignature
from pockethive.core.sources import Sources
from pockethive.core.task import DeviceId, Task


class Stage(Enum):
    """What a scout does for a task."""

    WAITING = "waiting"  # for its turn in the rendezvous order
    QUEUED = "queued"  # for a free pair of hands
    GETTING = "getting"  # lease and inputs
    WORKING = "working"
    SIGNING = "signing"  # the output is being published
    HOLDING = "holding"  # the output waits for verdicts; or an accepted one for its commit


BUSY = frozenset((Stage.GETTING, Stage.WORKING))


class Job:
    """State of one task at one scout."""

    def __init__(self, offer: Offer, device: DeviceId, verify: VerifySignature) -> None:
        assert isinstance(offer.entry.body, Task)
        self.task = offer.entry.body
        self.stage = Stage.WAITING
        self.lease = Acquisition(offer.entry, device)
        self.sources = Sources(offer.inputs, self.task.owner, verify)
        self.claimed = False
        self.told = False  # the output was announced to the owner
        self.made: Publish | None = None  # to be published again until it stands
        self.output: Entry | None = None
        self.held_since = 0.0
        self._timers: set[str] = set()

    @property
    def announcement(self) -> Made:
        """The output for the owner, with the grants under which it was made."""
        assert self.output is not None
        return Made(entry=self.output, grants=self.lease.grants)

    def set(self, purpose: str, at: float) -> SetTimer:
        """Set one of this job's timers."""
        self._timers.add(purpose)
        return SetTimer(name=f"{purpose}:{self.task.id}", at=at)

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


PURPOSES = ("start", "retry", "renew", "read", "tell")
