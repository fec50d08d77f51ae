"""One question to all witnesses of a task, and counting what comes back."""

from collections.abc import Callable

from pockethive.core.canonical import digest
from pockethive.core.effects import AskWitness
from pockethive.core.events import WitnessAnswered
from pockethive.core.lease import (
    DRIFT,
    Accepted,
    Ack,
    EpochRead,
    Grant,
    Refusal,
    Sealed,
    WitnessAnswer,
    WitnessRequest,
    Yes,
)
from pockethive.core.task import Committee, DeviceId

_SEPARATOR = "#"

Believe = Callable[[Yes], bool]
"""Whether a yes is an answer to what was asked."""


def usable_until(asked_at: float, seconds: int) -> float:
    """Until when a holder may rely on a lease, by its own clock.

    Counted from when it asked, and shortened: its clock may be slow and the witness's fast.
    """
    return asked_at + seconds * (1 - DRIFT) / (1 + DRIFT)


def jitter(seed: str, attempt: int) -> float:
    """A number from 0 to 1 that differs between devices but not between replays."""
    return int.from_bytes(digest("jitter", seed.encode(), b"%d" % attempt)[:6], "big") / 2**48


def poll_key(ask: str) -> str:
    """What a poll was opened under, from the name of one of its questions."""
    return ask.rpartition(_SEPARATOR)[0]


class Poll:
    """One round of questions. A poll is over when `quorum` said yes, or cannot any more."""

    def __init__(self, key: str, number: int, committee: Committee, asked_at: float) -> None:
        self.ask = f"{key}{_SEPARATOR}{number}"
        self.asked_at = asked_at
        self._committee = committee
        self.answers: dict[DeviceId, WitnessAnswer | None] = {}

    def questions(self, request: WitnessRequest) -> tuple[AskWitness, ...]:
        """The same request to every witness."""
        return tuple(
            AskWitness(ask=self.ask, witness=witness, request=request)
            for witness in self._committee.witnesses
        )

    def take(self, event: WitnessAnswered, believe: Believe) -> bool:
        """Note an answer; False when it is not for this poll.

        Whatever says yes must be believed, or it counts as none: a lying witness says yes to
        another question.
        """
        known = event.ask == self.ask and event.witness in self._committee.witnesses
        if not known or event.witness in self.answers:
            return False
        answer = event.answer
        if isinstance(answer, Yes) and not believe(answer):
            answer = None
        self.answers[event.witness] = answer
        return True

    @property
    def yes(self) -> int:
        """How many agreed."""
        return sum(isinstance(a, Yes) for a in self.answers.values())

    @property
    def won(self) -> bool:
        """A quorum agreed."""
        return self.yes >= self._committee.quorum

    @property
    def lost(self) -> bool:
        """A quorum cannot agree any more."""
        still_open = len(self._committee.witnesses) - len(self.answers)
        return self.yes + still_open < self._committee.quorum

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The refusals so far."""
        return tuple(a for a in self.answers.values() if isinstance(a, Refusal))

    @property
    def grants(self) -> tuple[tuple[DeviceId, Grant], ...]:
        """The grants so far, by witness."""
        found = ((w, a) for w, a in self.answers.items() if isinstance(a, Grant))
        return tuple(sorted(found, key=lambda pair: pair[0]))

    @property
    def acks(self) -> tuple[tuple[DeviceId, Ack], ...]:
        """The acks so far, by witness."""
        return tuple(sorted((w, a) for w, a in self.answers.items() if isinstance(a, Ack)))

    @property
    def seals(self) -> tuple[tuple[DeviceId, Sealed], ...]:
        """The seals so far, by witness."""
        return tuple(sorted((w, a) for w, a in self.answers.items() if isinstance(a, Sealed)))

    def highest_epoch(self) -> int:
        """The (f+1)-th highest epoch told: at least one honest witness knows it."""
        told = [a.epoch for a in self.answers.values() if isinstance(a, EpochRead | Refusal)]
        told.sort(reverse=True)
        return told[max(0, min(self._committee.liars, len(told) - 1))] if told else 0

    def accepted(self) -> Accepted | None:
        """The value to go on with: of the highest epoch, told by most, if any was accepted."""
        votes: dict[tuple[int, str], int] = {}
        for answer in self.answers.values():
            if isinstance(answer, Grant) and answer.accepted is not None:
                value = (answer.accepted.epoch, answer.accepted.output)
                votes[value] = votes.get(value, 0) + 1
        if not votes:
            return None
        epoch, output = max(votes, key=lambda value: (value[0], votes[value], value[1]))
        return Accepted(epoch, output)
