"""Private shards in virtual time: devices that each hold a part of a world, and a tap on their net.

Whole devices run (`pockethive.simulation`: every machine, the store, the door, verification; only
network and clock are not real) and ask the real model. One loaded model serves all of them, and
what it was asked once is not computed again: alike devices would compute the same. What each call
took when it was computed is booked to whoever asks it again.
"""

import logging
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast
from unittest.mock import patch

from pockethive.actors.skill import Checker, Finding, Tools, Work
from pockethive.actors.skills import CHECKERS
from pockethive.configs.loader import load_team_text
from pockethive.core.ports import Model
from pockethive.core.spec import Team
from pockethive.dht.simulation import VirtualCarrier
from pockethive.result import Result
from pockethive.simulation import Seat, SimulatedDevice, SimulatedHive
from pockethive.trials.questions import Question
from pockethive.trials.world import Document, World
from pockethive.vocabulary import vocabulary

MARK: Final = re.compile(rb"x(?:[a-z]{2}){4}")
_HANDED: Final = logging.getLogger("pockethive.actors.egress")


class Memory:
    """A loaded model that computes nothing twice. `seconds`: what its answers took, every time."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: dict[tuple[str, tuple[str, ...]], tuple[tuple[float, ...], float]] = {}
        self.seconds = 0.0
        self.calls = 0

    def score(self, prompt: str, options: Sequence[str]) -> tuple[float, ...]:
        """As `Model.score`."""
        key = (prompt, tuple(options))
        if key not in self._known:
            began = time.process_time()
            told = self._model.score(prompt, options)
            self._known[key] = (told, time.process_time() - began)
        told, took = self._known[key]
        self.seconds += took
        self.calls += 1
        return told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


@dataclass(slots=True)
class Blind:
    """A checker that accepts whatever comes."""

    name: str
    needs_model: bool = False

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        """Accept."""
        return Finding(accept=True, reason="nobody looked")


_BLIND: Final[Mapping[str, Checker]] = {name: Blind(name) for name in CHECKERS}
Cheat = Callable[[Seat], Seat]
"""What a cheat makes of an honest device's seat."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the shipped team is set: how many devices must quote a sentence, how many others must
    accept an output, and whether anybody looks, checkers or who reckons."""

    agreeing: int = 1
    verdicts: int = 1
    verified: bool = True

    def team(self) -> Team:
        """The team."""
        text = (files("pockethive.configs") / "shards.yaml").read_text(encoding="utf-8")
        made = load_team_text(text, "shards.yaml", vocabulary())
        roles = tuple(
            replace(role, verification=replace(role.verification, verdicts=self.verdicts))
            for role in made.roles
        )
        steps = tuple(
            replace(step, params={**step.params, "agreeing": self.agreeing})
            if "agreeing" in step.params
            else step
            for step in made.planner.steps
        )
        return replace(made, roles=roles, planner=replace(made.planner, steps=steps))


USUAL: Final = Rules()


def _honest(seat: Seat) -> Seat:
    return seat


def _believing(rules: Rules) -> AbstractContextManager[Any]:
    """Where nobody looks, who reckons takes every row as it comes."""
    if rules.verified:
        return nullcontext()
    return patch("pockethive.actors.skills.reckoning.unsound", return_value="")


@dataclass(slots=True)
class Tap:
    """What marks went over the net, and whether the door logged them."""

    marks: frozenset[bytes]
    logged: set[str] = field(default_factory=set)
    blobs: dict[str, set[bytes]] = field(default_factory=dict)
    letters: set[bytes] = field(default_factory=set)

    def crossed(self) -> set[bytes]:
        """Marks that were on the net."""
        return self.letters.union(*self.blobs.values())

    def unlogged(self) -> set[bytes]:
        """Those that were in something of which no line of the log tells."""
        told = set().union(*(m for name, m in self.blobs.items() if name[:16] in self.logged))
        return self.crossed() - told

    def seen(self, data: bytes) -> set[bytes]:
        """Marks of the world in some bytes."""
        return {mark for mark in MARK.findall(data) if mark in self.marks}


class _Log(logging.Handler):
    def __init__(self, tap: Tap) -> None:
        super().__init__()
        self._tap = tap

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and record.args[0] == "released":
            self._tap.logged.add(str(record.args[4]))


@contextmanager
def tapped(hive: SimulatedHive, tap: Tap) -> Iterator[None]:
    """Look at every datagram and every piece of a blob, and at the release log."""
    send, ask, before = hive.world.net.send, VirtualCarrier.ask, _HANDED.level
    log = _Log(tap)

    def sent(source: Any, data: bytes, target: Any) -> None:
        tap.letters |= tap.seen(data)
        send(source, data, target)

    async def asked(self: VirtualCarrier, contact: Any, name: str, index: int) -> Any:
        reply = await ask(self, contact, name, index)
        if found := tap.seen(bytes(reply.data)):
            tap.blobs.setdefault(name, set()).update(found)
        return reply

    with ExitStack() as ends:
        ends.callback(setattr, hive.world.net, "send", send)
        ends.callback(setattr, VirtualCarrier, "ask", ask)
        ends.callback(_HANDED.setLevel, before)
        ends.callback(_HANDED.removeHandler, log)
        hive.world.net.send = sent  # type: ignore[method-assign]
        VirtualCarrier.ask = asked  # type: ignore[method-assign]
        _HANDED.setLevel(logging.DEBUG)
        _HANDED.addHandler(log)
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question's outcome. Bytes are of one holder, as its door counted them, on average."""

    id: str
    kind: str
    status: str
    answer: str
    right: bool
    proof: int
    cited: int
    cited_proof: int
    crossed: int
    crossed_needed: int
    bytes_each: float
    tokens: int
    model_seconds: float
    virtual_seconds: float


class Holders:
    """Devices at the team, each with its hand of documents."""

    def __init__(self, world: World, model: Memory, folder: Path) -> None:
        self.world, self._model, self._folder = world, model, folder
        self._ids = {s.mark.encode(): s.id for s in world.statements()}

    def ask(
        self,
        hands: Sequence[Sequence[Document]],
        questions: Sequence[Question],
        cheats: Mapping[int, Cheat] | None = None,
        rules: Rules = USUAL,
    ) -> tuple[list[Asked], set[bytes]]:
        """Ask all; also the marks that crossed unlogged. `cheats` by place among the holders."""
        seats = [Seat(team=rules.team(), works=False)]
        for place, hand in enumerate(hands):
            folder = written(hand, self._folder)
            seat = Seat(model=cast("Model", self._model), documents=(folder,))
            seats.append((cheats or {}).get(place, _honest)(seat))
        if not rules.verified:
            seats = [replace(seat, checkers=_BLIND) for seat in seats]
        unlogged: set[bytes] = set()
        found = []
        with _believing(rules), SimulatedHive(self.world.seed) as hive:
            owner, *holders = hive.start(seats)
            for question in questions:
                tap = Tap(frozenset(self._ids))
                with tapped(hive, tap):
                    found.append(self._one(hive, owner, holders, (question, tap)))
                unlogged |= tap.unlogged()
        return found, unlogged

    def _one(
        self,
        hive: SimulatedHive,
        owner: SimulatedDevice,
        holders: Sequence[SimulatedDevice],
        asked: tuple[Question, Tap],
    ) -> Asked:
        question, tap = asked
        before, took = _sent(holders), self._model.seconds
        result = hive.run(owner, question.text)
        crossed = {self._ids[mark] for mark in tap.crossed()}
        cited = self._cited(result)
        return Asked(
            id=question.id,
            kind=question.kind,
            status=f"{result.status} {result.reason}".strip(),
            answer=result.answer,
            right=result.answer.lower() == truth(question).lower(),
            proof=len(question.proof),
            cited=len(cited),
            cited_proof=len(cited.intersection(question.proof)),
            crossed=len(crossed),
            crossed_needed=len(crossed.intersection((*question.proof, *question.rivals))),
            bytes_each=(_sent(holders) - before) / len(holders),
            tokens=result.prompt_tokens,
            model_seconds=round(self._model.seconds - took, 2),
            virtual_seconds=round(result.seconds, 1),
        )

    def _cited(self, result: Result) -> set[str]:
        marks = Counter(m for each in result.citations for m in MARK.findall(each.quote.encode()))
        return {self._ids[mark] for mark in marks if mark in self._ids}


def written(hand: Sequence[Document], folder: Path) -> Path:
    """A folder of its own in `folder` with a device's documents."""
    place = Path(tempfile.mkdtemp(dir=folder))
    for document in hand:
        (place / document.name).write_text(document.text, encoding="utf-8")
    return place


def truth(question: Question) -> str:
    """The answer as the team writes it."""
    return ", ".join(question.answer) or "not known"


def _sent(devices: Sequence[SimulatedDevice]) -> int:
    return sum(each.size for device in devices for each in device.egress.counts.values())
