"""The effect interpreter: feeds events to the core's machines and hands their effects to hands.

Rule guarded here: no protocol decision is made outside the machines. The same class runs on a
device (driven by a mailbox) and in simulation (driven by a virtual loop).
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from pockethive.core.effects import (
    AskWitness,
    CancelTimer,
    CloseGraph,
    Effect,
    OpenGraph,
    Send,
    SetTimer,
    TellCoordinator,
    forwarded,
)
from pockethive.core.errors import ProtocolError
from pockethive.core.events import (
    Event,
    MessageArrived,
    TaskRead,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.lease_codec import OpenEntry
from pockethive.core.task import DeviceId

_log = logging.getLogger(__name__)

SEPARATOR = "|"
"""Between a machine's name and its own name for a timer or a question."""


class Machine(Protocol):
    """A pure machine of `pockethive.core`."""

    def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
        """Take one event at `now` (lease clock, seconds); return what is to be done."""


class Journal(Protocol):
    """Keeps what the machines were told. Called on the thread that drives them; raises nothing."""

    def begin(self, machines: Mapping[str, Machine], open_entry: OpenEntry) -> float | None:
        """Before the first event: bring machines to where a journal left them, if one did.

        Returns where the lease clock (seconds) goes on then, else None.
        """

    def saw(self, machine: str, event: Event, now: float, effects: tuple[Effect, ...]) -> None:
        """A machine took a step."""

    def write(self) -> None:
        """Make the steps so far durable: what they led to is about to be carried out."""


class Hands(Protocol):
    """What carries effects out. Must not block; answers come back as events, tagged `machine`."""

    def perform(self, effects: Sequence[tuple[str, Effect]]) -> None:
        """Begin effects in their order, each for the machine of that name."""


class Interpreter:
    """Feeds events, one at a time and to the end. Not thread-safe: one thread drives it.

    What a machine says to its own `device` is fed like any event: a letter to oneself needs no
    network. `journal` sees every step, and has written it before its effects are carried out.
    """

    def __init__(
        self,
        machines: Mapping[str, Machine],
        hands: Hands,
        clock: Callable[[], float],
        device: DeviceId,
        journal: Journal | None = None,
    ) -> None:
        self._machines = dict(machines)
        self._hands = hands
        self._clock = clock
        self._device = device
        self._journal = journal
        self._queue: deque[tuple[str | None, Event]] = deque()
        self._due: list[tuple[str, Effect]] = []

    @property
    def due(self) -> int:
        """How many effects wait for `flush`."""
        return len(self._due)

    def feed(self, event: Event, to: str | None = None) -> None:
        """Hand an event to one machine, or to all; then everything that follows from it at once."""
        try:
            self.take(event, to)
        finally:
            self.flush()

    def take(self, event: Event, to: str | None = None) -> None:
        """As `feed`, but the effects wait for `flush`."""
        self._queue.append(self._addressed(event, to))
        while self._queue:
            target, next_event = self._queue.popleft()
            for name in (target,) if target else tuple(self._machines):
                self._step(name, next_event)

    def flush(self) -> None:
        """Let the journal be written, and the hands begin with what is due."""
        due, self._due = self._due, []
        if self._journal is not None:
            self._journal.write()
        if due:
            self._hands.perform(due)

    def _step(self, name: str, event: Event) -> None:
        now = self._clock()
        try:
            effects = self._machines[name].handle(event, now)
        except ProtocolError as error:  # a peer's doing; the other machines go on with the event
            _log.warning("%s was dropped by the %s: %s", type(event).__name__, name, error)
            return
        if self._journal is not None:
            self._journal.saw(name, event, now, effects)
        for effect in effects:
            if isinstance(effect, Send) and effect.to == self._device:
                told: Event = MessageArrived(sender=self._device, message=effect.message)
                self._queue.append((None, told))
            elif (receiver := _RECEIVERS.get(type(effect))) is not None:
                heard = forwarded(effect)
                assert heard is not None
                self._queue.append((receiver if receiver in self._machines else None, heard))
            else:
                self._due.append((name, _tagged(name, effect)))

    def _addressed(self, event: Event, to: str | None) -> tuple[str | None, Event]:
        """Answers find the machine that asked: by `to`, or by the tag on their own name."""
        if isinstance(event, TimerFired) and SEPARATOR in event.name:
            machine, _, name = event.name.partition(SEPARATOR)
            return machine, TimerFired(name=name)
        if isinstance(event, WitnessAnswered) and SEPARATOR in event.ask:
            machine, _, ask = event.ask.partition(SEPARATOR)
            return machine, replace(event, ask=ask)
        if isinstance(event, TaskRead) and to is None:
            raise ValueError("what was read goes to the machine that asked")
        return to, event


_TAGGED = frozenset((AskWitness, SetTimer, CancelTimer))
_RECEIVERS: Mapping[type[Effect], str] = {
    OpenGraph: "ledger",
    CloseGraph: "ledger",
    TellCoordinator: "coordinator",
}
"""Who alone hears what one machine says to another (`forwarded`)."""


def _tagged(machine: str, effect: Effect) -> Effect:
    """Timers and questions carry the name of the machine whose they are."""
    if type(effect) not in _TAGGED:
        return effect
    match effect:
        case AskWitness():
            return replace(effect, ask=f"{machine}{SEPARATOR}{effect.ask}")
        case SetTimer() | CancelTimer():
            return replace(effect, name=f"{machine}{SEPARATOR}{effect.name}")
        case _:
            return effect
