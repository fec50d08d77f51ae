"""Getting a task's lease and keeping it: the part of Paxos that a holder plays.

Ask every witness for the first epoch, or where that is spent read epochs and ask for the next one;
back off when others were faster, and renew at a third of the time. The first question needs no
reading: a witness grants an epoch once, whatever its asker had read, and a refusal tells the epoch.
Pure: whoever owns it hands in answers and timers.
"""

from collections import Counter
from enum import Enum

from pockethive.core.certificate import Certificate, certificate
from pockethive.core.effects import AskWitness
from pockethive.core.entry import Entry
from pockethive.core.events import WitnessAnswered
from pockethive.core.lease import (
    Accepted,
    AskLease,
    EpochRead,
    FreeLease,
    Grant,
    Propose,
    ReadEpoch,
    Refusal,
    Refused,
    WitnessRequest,
    Yes,
)
from pockethive.core.polling import Poll, jitter, usable_until
from pockethive.core.task import DeviceId, Task

ATTEMPTS = 3  # an offer that nobody took is made again, so giving up early is cheap
BACK_OFF_SECONDS = 0.25
MAX_BACK_OFF_SECONDS = 5.0
_RUNNING = (Refused.BUSY, Refused.STALE)  # with time left: somebody else's lease


class Phase(Enum):
    """How far the lease is."""

    READING = "reading"
    ASKING = "asking"
    BACKING_OFF = "backing off"
    HELD = "held"
    GIVEN_UP = "given up"


class Acquisition:
    """One device's way to one lease. `phase`, `epoch`, `until` and `accepted` tell how it stands.

    `until` is by the holder's own clock and already shortened for drift.
    """

    def __init__(self, entry: Entry, device: DeviceId, certificate: str = "") -> None:
        assert isinstance(entry.body, Task)
        self.task, self._entry, self._device = entry.body, entry, device
        self.phase = Phase.READING
        self.epoch = 0
        self.until = 0.0
        self.accepted: Accepted | None = None
        self.grants: Certificate = ()  # of the lease at `epoch`, to be shown to the owner
        self.retry_at = 0.0
        self.output: Entry | None = None  # once proposed, renewals propose it again
        self.proposed = False
        self.taken = False  # more than lie say that another's lease runs, or ran since
        self.failing = False  # the last renewal found no quorum; there is time to ask again
        self._certificate = certificate
        # Only for the first question: asking again for an epoch of one's own would prolong it.
        self._unread = True
        self._attempt = 0
        self._asked_at = 0  # milliseconds of the lease clock, when it first asked for `epoch`
        self._polls = 0
        self._poll: Poll | None = None
        self._proposing: Poll | None = None

    def begin(self, now: float) -> tuple[AskWitness, ...]:
        """Start, or start again after backing off."""
        if self._unread:
            return self._ask_next(0, now)
        self.phase = Phase.READING
        return self._ask(ReadEpoch(task=self.task.id), now)

    def answered(self, event: WitnessAnswered, now: float) -> tuple[AskWitness, ...]:
        """Take a witness's answer; look at `phase` afterwards."""
        poll = self._poll
        if poll is None or not poll.take(event, self._fits):
            return ()
        if self.phase is Phase.READING:
            return self._read(poll, now)
        if self.phase is Phase.ASKING:
            return self._asked(poll, now)
        if self.phase is Phase.HELD and poll.won:
            self._kept(poll)
        self.failing = self.phase is Phase.HELD and poll.lost
        self.taken = self.failing and self._is_overtaken(poll)
        answer = event.answer
        if isinstance(answer, Refusal) and answer.reason is Refused.UNKNOWN:
            return (self._join(event.witness),)
        return ()

    def renew(self, now: float) -> tuple[AskWitness, ...]:
        """Ask for more time; call it every `renew_seconds` while held."""
        if now >= self.until:
            self.phase = Phase.GIVEN_UP
            return ()
        return self._ask(self._renewal(), now)

    def propose(self, output: Entry, now: float) -> tuple[AskWitness, ...]:
        """Turn the lease into a hold for a signed output; `proposed` tells when a quorum has."""
        self.output = output
        return self._ask(self._renewal(), now)

    def free(self) -> tuple[AskWitness, ...]:
        """Give the lease back wherever it may have been granted."""
        self.phase = Phase.GIVEN_UP
        request = FreeLease(task=self.task.id, epoch=self.epoch, attempt=self._asked_at)
        return self._new_poll(0.0).questions(request) if self.epoch else ()

    def _withdraw(self, poll: Poll) -> tuple[AskWitness, ...]:
        """Give back what too few granted. Who refused holds nothing of this device."""
        refused = {w for w, answer in poll.answers.items() if isinstance(answer, Refusal)}
        return tuple(each for each in self.free() if each.witness not in refused)

    @property
    def renew_seconds(self) -> float:
        """How long to wait between renewals."""
        return self.task.lease_seconds / 3

    def _renewal(self) -> WitnessRequest:
        seconds = self.task.lease_seconds
        if self.output is not None:
            return Propose(task=self.task.id, epoch=self.epoch, seconds=seconds, output=self.output)
        return self._lease(renews=True)

    def _lease(self, *, renews: bool) -> AskLease:
        return AskLease(
            task=self.task.id,
            epoch=self.epoch,
            seconds=self.task.lease_seconds,
            entry=self._entry,
            renews=renews,
            attempt=self._asked_at,
            certificate=self._certificate,
        )

    def _join(self, witness: DeviceId) -> AskWitness:
        """A witness that missed the lease can still grant it; the next renewal counts it."""
        request = self._lease(renews=True)
        return AskWitness(ask=f"{self.task.id}#0", witness=witness, request=request)

    def _read(self, poll: Poll, now: float) -> tuple[AskWitness, ...]:
        if poll.won and self._is_held(poll):
            self.phase = Phase.GIVEN_UP
            return ()
        if poll.won:
            return self._ask_next(poll.highest_epoch(), now)
        return self._back_off(now, 0.0) if poll.lost else ()

    def _is_held(self, poll: Poll) -> bool:
        """Whether so many name a running lease of one epoch that no quorum could be had now.

        More than lie say so, since 2q - K > f. If its holder fails, the task is offered anew.
        """
        committee = self.task.committee
        running = Counter(
            read.epoch
            for read in poll.answers.values()
            if isinstance(read, EpochRead) and read.wait_seconds > 0
        )
        blocking = len(committee.witnesses) - committee.quorum + 1
        return max(running.values(), default=0) >= max(blocking, committee.liars + 1)

    def _ask_next(self, told: int, now: float) -> tuple[AskWitness, ...]:
        """Ask for the epoch above those told and those that were asked for before.

        A refused attempt of our own has raised epochs that a reading may not tell.
        """
        self.epoch = max(told, self.task.committee.epoch_base, self.epoch) + 1
        self.phase, self._asked_at = Phase.ASKING, int(now * 1_000)
        return self._ask(self._lease(renews=False), now)

    def _asked(self, poll: Poll, now: float) -> tuple[AskWitness, ...]:
        if poll.won:
            self.phase = Phase.HELD
            self.accepted = poll.accepted()
            self.grants = certificate(poll.grants)
            self._kept(poll)
            return ()
        if not poll.lost:
            return ()
        if any(refusal.reason is Refused.SEALED for refusal in poll.refusals):
            return self.free()  # the owner offers it anew, with witnesses that are there
        unread, self._unread = self._unread, False
        if unread and any(r.reason is Refused.STALE for r in poll.refusals):
            return self._ask_next(poll.highest_epoch(), now)
        waits = [r.wait_seconds for r in poll.refusals if r.reason is Refused.WARMING]
        freed = self._withdraw(poll)
        self.taken = self._is_taken(poll)
        if self.taken:
            return freed  # the phase says so: if its holder fails, it is offered anew
        return freed + self._back_off(now, float(max(waits, default=0)))

    def _is_taken(self, poll: Poll) -> bool:
        """Whether another's lease runs: more than lie say so, and nobody granted anything.

        Contenders that shared the witnesses have grants to give back, and do try again.
        """
        running = [r for r in poll.refusals if r.reason in _RUNNING and r.wait_seconds > 0]
        return not poll.yes and len(running) > self.task.committee.liars

    def _is_overtaken(self, poll: Poll) -> bool:
        """Whether more than lie have granted a later epoch than the one held here."""
        later = [r for r in poll.refusals if r.reason in _RUNNING and r.epoch > self.epoch]
        return len(later) > self.task.committee.liars

    def _fits(self, answer: Yes) -> bool:
        """Whether a yes is one to what was asked last."""
        if self.phase is Phase.READING:
            return isinstance(answer, EpochRead) and answer.task == self.task.id
        if not isinstance(answer, Grant) or answer.slot:
            return False
        wanted = (self.task.id, self.task.committee.generation, self.epoch, self._device)
        return (answer.task, answer.generation, answer.epoch, answer.holder) == wanted

    def _kept(self, poll: Poll) -> None:
        self.until = max(self.until, usable_until(poll.asked_at, self.task.lease_seconds))
        self.proposed = self.proposed or poll is self._proposing

    def _back_off(self, now: float, wait: float) -> tuple[AskWitness, ...]:
        self._attempt += 1
        if self._attempt >= ATTEMPTS:
            self.phase = Phase.GIVEN_UP
            return ()
        self.phase = Phase.BACKING_OFF
        seed = f"{self._device} {self.task.id}"
        pause = BACK_OFF_SECONDS * 2**self._attempt * (0.5 + 2 * jitter(seed, self._attempt))
        self.retry_at = now + max(wait, min(pause, MAX_BACK_OFF_SECONDS))
        return ()

    def _ask(self, request: WitnessRequest, now: float) -> tuple[AskWitness, ...]:
        self._poll = self._new_poll(now)
        self._proposing = self._poll if isinstance(request, Propose) else None
        return self._poll.questions(request)

    def _new_poll(self, now: float) -> Poll:
        self._polls += 1
        return Poll(self.task.id, self._polls, self.task.committee, now)
