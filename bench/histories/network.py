"""Time, messages and witnesses of a history: real decisions and codecs, in `world.Weather`.

`Rules` names what a mutant changes.
"""

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from bench.histories.record import History
from bench.histories.world import END, WITNESSES, Weather, opened, sign, verify
from pockethive.core.effects import AskWitness
from pockethive.core.entry import Entry
from pockethive.core.events import WitnessAnswered
from pockethive.core.lease import (
    Accepted,
    Ack,
    AskCommit,
    AskLease,
    EpochRead,
    Grant,
    Propose,
    ReadEpoch,
    Seal,
    Sealed,
    WitnessAnswer,
    WitnessRequest,
)
from pockethive.core.lease_codec import decode_answer, decode_request, encode_answer, encode_request
from pockethive.core.table_plan import sign_answer
from pockethive.core.task import DeviceId, Task, TaskId
from pockethive.core.witness import Witness, WitnessAsked

WALL = 1_900_000_000.0  # unix time at second 0
ANSWER_SECONDS = 2.0

Hear = Callable[[WitnessAnswered], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is played; everything but `liars` is for mutants, each of which breaks one rule.

    `forget`: a witness that restarts has lost its cells and does not know it. `quorum`: another
    than the protocol's. `seals`: False replaces witnesses without asking the old ones. `waits`:
    False does not wait for old leases. `witness`: another decision.
    """

    liars: int = 2
    forget: bool = False
    quorum: int = 5
    seals: bool = True
    waits: bool = True
    witness: type[Witness] = Witness


def task_of(entry: Entry) -> Task:
    """The task that an entry signs."""
    assert isinstance(entry.body, Task)
    return entry.body


class Network:
    """Everything that is not a contender or the owner. `on_ack` hears of every ack there is."""

    def __init__(self, seed: int, rules: Rules, history: History) -> None:
        self.rules, self.now = rules, 0.0
        self.dice = random.Random(seed)
        self.weather = Weather(self.dice)
        self.liars = frozenset(self.dice.sample(WITNESSES[:7], rules.liars))
        self.on_ack: Callable[[DeviceId, Ack], None] = _unheard
        self._history, self._count = history, 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._named: dict[TaskId, int] = {}  # the generation that liars heard of last
        self._cells: dict[tuple[DeviceId, TaskId], tuple[bytes, float]] = {}

    def run(self) -> None:
        """Let everything happen that is due before the end."""
        while self._queue and self._queue[0][0] < END:
            self.now, _, action = heapq.heappop(self._queue)
            action()

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at a true time."""
        self._count += 1
        heapq.heappush(self._queue, (max(when, self.now), self._count, action))

    def local(self, name: DeviceId) -> float:
        """What a device's clock shows."""
        return self.weather.clocks[name].local(self.now)

    def timer(self, name: DeviceId, local: float, action: Callable[[], None]) -> None:
        """By a device's own clock, unless it restarts before; one that sleeps is late."""
        booted = self.weather.booted(name, self.now)
        due = self.weather.awake(name, max(self.now, self.weather.clocks[name].true(local)))

        def fire() -> None:
            running = not self.weather.down(name, self.now)
            if running and self.weather.booted(name, self.now) == booted:
                action()

        self.at(due, fire)

    def ask_all(self, asker: DeviceId, asks: Iterable[AskWitness], hear: Hear) -> None:
        """Put questions to witnesses; what comes of each is heard once: an answer, or none."""
        for ask in asks:
            self._ask(asker, ask, hear)

    def _ask(self, asker: DeviceId, ask: AskWitness, hear: Hear) -> None:
        weather, heard = self.weather, False
        data, witness = encode_request(ask.request), ask.witness

        def answered(said: WitnessAnswer | None) -> None:
            nonlocal heard
            if not heard and not weather.down(asker, self.now):
                heard = True
                hear(WitnessAnswered(ask=ask.ask, witness=witness, answer=said))

        def decide() -> None:
            if weather.down(witness, self.now):
                return
            said = self._decide(asker, witness, decode_request(data, opened))
            if weather.arrives(witness, asker, self.now):
                due = weather.awake(asker, self.now + weather.delay(self.now))
                self.at(due, lambda: answered(said))

        self.at(weather.awake(asker, self.now + ANSWER_SECONDS), lambda: answered(None))
        for _ in range(1 + (self.dice.random() < 0.1)):  # sometimes doubled
            if weather.arrives(asker, witness, self.now):
                self.at(weather.awake(witness, self.now + weather.delay(self.now)), decide)

    def _decide(self, peer: DeviceId, name: DeviceId, request: WitnessRequest) -> WitnessAnswer:
        clock, key = self.weather.clocks[name], (name, request.task)
        booted = self.weather.booted(name, self.now)
        cell, written = self._cells.get(key, (None, 0.0))
        if self.rules.forget and written < booted:
            cell = None
        asked = WitnessAsked(
            peer=peer, request=request, born=WALL - 1e6, booted=WALL + clock.local(booted)
        )
        acceptor = self.rules.witness(name, verify)
        new, answer = acceptor.decide(cell, asked, WALL + clock.local(self.now))
        if new is not None:
            self._cells[key] = (new, self.now)
        if name in self.liars:
            answer = self._lie(peer, request, answer)
        else:
            self._history.answered(name, answer)
        if isinstance(answer, Ack):
            self.on_ack(name, answer)
        return decode_answer(encode_answer(sign_answer(answer, name, sign)))

    def _lie(self, peer: DeviceId, request: WitnessRequest, true: WitnessAnswer) -> WitnessAnswer:
        """Yes to everybody, nothing remembered, numbers out of the air."""
        generation = self._named.get(request.task, 1)
        match request:
            case ReadEpoch(task=task):
                epoch = self.dice.choice((0, 1, self.dice.randrange(1_000)))
                return EpochRead(task=task, epoch=epoch, accepted=None)
            case AskLease(task=task, epoch=epoch, seconds=seconds, entry=entry):
                generation = task_of(entry).committee.generation
                self._named[task] = generation
                return _grant(task, generation, epoch, peer, seconds)
            case Propose(task=task, epoch=epoch, seconds=seconds):
                return _grant(task, generation, epoch, peer, seconds)
            case AskCommit(task=task, epoch=epoch, output=output):
                return Ack(task=task, generation=generation, epoch=epoch, output=output)
            case Seal(task=task, generation=ended, successor=heir):
                value = Accepted(1, sha256(b"invented").hexdigest())
                return Sealed(
                    task=task,
                    generation=ended,
                    successor=heir,
                    epoch=self.dice.randrange(50),
                    accepted=self.dice.choice((None, value)),
                    wait_seconds=0,
                )
            case _:
                return true


def _grant(
    task: TaskId, generation: int, epoch: int, holder: DeviceId, seconds: int
) -> WitnessAnswer:
    return Grant(
        task=task,
        generation=generation,
        epoch=epoch,
        holder=holder,
        seconds=seconds,
        accepted=None,
    )


def _unheard(witness: DeviceId, ack: Ack) -> None:
    """Nobody listens yet."""
