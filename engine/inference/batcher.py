"""Many requests, one model: which of their tokens the next pass reads.

A request is a generator (`Work`): it asks for memory and for readings, and returns its result. So
what a request does is written in one place, from top to bottom, and any number of them take part in
one pass (Yu et al. 2022, "Orca", OSDI; long prompts in pieces between others' tokens: Agrawal et
al. 2023, "SARATHI", arXiv 2308.16369).

Guards: a request gets memory for all that it may need before it begins, so none waits for another
that waits for it; roles share the model alike, whatever they ask; who must be done soon goes first;
one request's fault ends that request alone. Knows no thread and no clock.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from pockethive.core.errors import ModelError
from pockethive.inference.blocks import BLOCK, Blocks, Copies, shared
from pockethive.inference.blocks import Sequence as Tokens
from pockethive.inference.slices import Contents, Floats, Pass, Slice

CHUNK: Final = 256
"""Tokens that one pass reads at most while somebody waits for his next word."""
WHOLE: Final = 2_048
"""The same while nobody does."""
SHORT: Final = 16
"""Tokens of a reading that never waits for room in a pass."""
ROWS: Final = 128
"""Rows of logits that one pass makes at most, 200 kB each for 49,152 tokens, and as much again for
what they are made log-probabilities with: run times keep the most that a pass ever took."""
SOON: Final = 1.0
"""Seconds before its time limit from which on a request goes before others."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Ask for a sequence for a prompt. Answered by it, with what is known of it already.

    `blocks`: what the request will need in all, for this prompt and what is made of it. What it had
    begun before is given up.
    """

    ids: Sequence[int]
    blocks: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Ask for `count` sequences that go on from this one. Those forked before are given up."""

    sequence: Tokens
    count: int


@dataclass(frozen=True, slots=True)
class Read:
    """Ask to read `ids` after what the sequence holds.

    Answered by the logits [vocabulary] after the last one; or, where there are `targets`, by their
    log-probabilities, after each of the last `len(targets)` tokens. Logits are a view, valid until
    the request asks for the next thing. `see`: shown the logits [some, vocabulary] of targets as
    they come, in their order, valid until it returns; it must not raise. `word`: one token was
    drawn, and the next one is wanted.
    """

    sequence: Tokens
    ids: Sequence[int]
    targets: Sequence[int] = ()
    see: Callable[[Floats], None] | None = None
    word: bool = False


@dataclass(frozen=True, slots=True)
class Save:
    """Ask for a copy of what a sequence holds. Answered by `Contents`."""

    sequence: Tokens


@dataclass(frozen=True, slots=True)
class Recall:
    """Ask for `ids` to be as if read by an empty sequence: `contents` were saved after them."""

    sequence: Tokens
    ids: Sequence[int]
    contents: Contents


Ask = Begin | Fork | Save | Recall | Sequence[Read]
Work = Generator[Ask, Any, Any]


class Graph(Protocol):
    """What runs a pass (`PagedGraph`, `OnnxGraph`)."""

    def run(self, slices: Sequence[Slice]) -> Pass:
        """Read all slices."""

    def copy(self, copies: Copies) -> None:
        """Copy blocks."""

    def lose(self, blocks: Sequence[int]) -> None:
        """Give the memory of blocks to the system."""

    def dump(self, blocks: Sequence[int]) -> Contents:
        """What blocks hold."""

    def load(self, blocks: Sequence[int], contents: Contents) -> None:
        """Put back what `dump` gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Whose a request is. `deadline`: seconds of the clock that `step` is told."""

    role: str = ""
    deadline: float = float("inf")


@dataclass(slots=True, eq=False)
class _Reading:
    """One `Read` under way: what is left of it, and what came of it."""

    asked: Read
    done: int = 0  # tokens
    logits: Floats | None = None
    logprobs: list[Floats] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.asked.ids) - self.done

    def rows(self, count: int) -> int:
        """Rows of logits that its next `count` tokens make."""
        if not self.asked.targets:
            return int(count == self.left)
        return max(0, count - self._unwanted)

    def within(self, count: int, rows: int) -> int:
        """Of its next `count` tokens as many as make no more than `rows` rows."""
        if not self.asked.targets:
            return count - (count == self.left and not rows)
        return min(count, self._unwanted + rows)

    @property
    def _unwanted(self) -> int:
        """Tokens that come before the first one with a target."""
        return max(0, self.left - len(self.asked.targets))

    def result(self) -> Floats:
        if self.asked.targets:
            return np.concatenate(self.logprobs)
        assert self.logits is not None
        return self.logits


@dataclass(slots=True, eq=False)
class Job:
    """A request under way."""

    work: Work
    order: Order
    number: int
    done: Callable[[Any, BaseException | None], None]
    wanted: Callable[[], bool]
    patient: bool = True  # its time limit is far
    waits: Begin | None = None
    readings: list[_Reading] = field(default_factory=list)
    held: list[Tokens] = field(default_factory=list)
    promised: int = 0


class Batcher:
    """Not thread-safe: one thread at a time. `most`: requests that are under way at once."""

    def __init__(self, graph: Graph, blocks: Blocks) -> None:
        self._graph, self._blocks = graph, blocks
        self._jobs: list[Job] = []
        self._spent: dict[str, float] = {}  # tokens by role, of those that have requests
        self._numbers = 0
        self.read = 0
        """Tokens since the start."""

    def __len__(self) -> int:
        """Requests under way."""
        return len(self._jobs)

    def add(
        self,
        work: Work,
        done: Callable[[Any, BaseException | None], None],
        *,
        order: Order | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Begin a request. `done` is called with its result or its error, once, by `step` or here.

        A request that is not `wanted` any more ends before the next pass; nobody is told.
        """
        self._numbers += 1
        job = Job(work, order or Order(), self._numbers, done, wanted)
        role = job.order.role
        if role not in self._spent:  # who comes late has no claim on what was not used before
            self._spent[role] = min(self._spent.values(), default=0.0)
        self._jobs.append(job)
        self._resume(job, None)

    def step(self, now: float) -> None:
        """One pass: some tokens of as many requests as fit."""
        for job in [job for job in self._jobs if not job.wanted()]:
            job.work.close()
            self._end(job)
        for job in self._jobs:
            job.patient = job.order.deadline - now > SOON
        turns = sorted(self._jobs, key=self._turn)
        self._grant(turns)
        chosen = self._choose(turns)
        if chosen:
            self._read(chosen)
        if not self._jobs:  # who comes next finds what is remembered; nobody needs the rest
            self._graph.lose(self._blocks.given_back())

    def fail(self, error: BaseException) -> None:
        """Nothing can be read any more: every request ends with `error`."""
        for job in list(self._jobs):
            job.work.close()
            self._end(job)
            job.done(None, error)

    def rest(self) -> None:
        """When nothing is under way: remember nothing, and give all of that memory back."""
        if not self._jobs:
            self._blocks.forget()
            self._graph.lose(self._blocks.given_back())

    def _turn(self, job: Job) -> tuple[bool, float, int]:
        return job.patient, self._spent[job.order.role], job.number

    def _grant(self, turns: Sequence[Job]) -> None:
        """Memory in the order of turns: who needs much is not passed by for ever."""
        for job in turns:
            if job.waits is None or self._soon_known(job.waits):
                continue
            if not self._begun(job, job.waits):
                return

    def _soon_known(self, asked: Begin) -> bool:
        """Whether somebody is reading just now what this prompt begins with, too."""
        known = self._blocks.known(asked.ids)
        for job in self._jobs:
            for reading in job.readings:
                if reading.left > SHORT:
                    read = [*reading.asked.sequence.ids, *reading.asked.ids[reading.done :]]
                    if shared(read, asked.ids) >= known + BLOCK:
                        return True
        return False

    def _begun(self, job: Job, asked: Begin) -> bool:
        if not self._blocks.promise(asked.blocks):
            return False
        job.waits, job.promised = None, asked.blocks
        sequence, copies = self._blocks.begin(asked.ids)
        self._graph.copy(copies)
        job.held.append(sequence)
        self._resume(job, sequence)
        return True

    def _choose(self, turns: Sequence[Job]) -> list[tuple[Job, _Reading, int]]:
        """What is read, and how many tokens of it: short readings first, then pieces of others."""
        chosen: list[tuple[Job, _Reading, int]] = []
        rows = ROWS
        for job, reading in ((j, r) for j in turns for r in j.readings if 0 < r.left <= SHORT):
            if reading.rows(reading.left) <= rows:  # a short one is not cut
                chosen.append((job, reading, reading.left))
                rows -= reading.rows(reading.left)
        room = (CHUNK if chosen else WHOLE) - sum(count for _, _, count in chosen)
        spent = dict(self._spent)  # as if each piece was read when it is chosen
        left = deque(job for job in turns if any(r.left > SHORT for r in job.readings))
        while left and room > 0:
            job = min(left, key=lambda job: (job.patient, spent[job.order.role]))
            left.remove(job)
            for reading in job.readings:
                if reading.left > SHORT:
                    count = reading.within(min(room, reading.left), rows)
                    if count > 0:
                        chosen.append((job, reading, count))
                        spent[job.order.role] += count
                        room, rows = room - count, rows - reading.rows(count)
        return chosen

    def _read(self, chosen: Sequence[tuple[Job, _Reading, int]]) -> None:
        slices = [self._slice(reading, count) for _, reading, count in chosen]
        made = self._graph.run(slices)
        row = 0
        for (job, reading, count), piece in zip(chosen, slices, strict=True):
            self._blocks.wrote(reading.asked.sequence, piece.ids)
            reading.done += count
            self.read += count
            self._spent[job.order.role] += count
            end = row + len(piece.rows)
            if reading.asked.targets:
                reading.logprobs.append(np.array(made.logprobs[row:end]))
                if reading.asked.see is not None:
                    reading.asked.see(made.logits[row:end])
            elif piece.rows:
                alone = len(job.readings) == 1
                reading.logits = made.logits[row] if alone else np.array(made.logits[row])
            row = end
        for job in dict.fromkeys(job for job, _, _ in chosen):
            if not any(reading.left for reading in job.readings):
                results = [reading.result() for reading in job.readings]
                job.readings = []
                self._resume(job, results)

    def _slice(self, reading: _Reading, count: int) -> Slice:
        """The next `count` tokens of a reading, and which numbers are wanted of them."""
        asked, begin = reading.asked, reading.done
        sequence, end = asked.sequence, begin + count
        self._graph.copy(self._blocks.extend(sequence, count))
        if asked.targets:
            first = len(asked.ids) - len(asked.targets)
            rows = range(max(first, begin), end)
            targets = [asked.targets[row - first] for row in rows]
        else:
            rows = range(end - 1, end) if end == len(asked.ids) else range(0)
            targets = [0] * len(rows)
        return Slice(
            ids=asked.ids[begin:end],
            past=len(sequence),
            blocks=sequence.blocks,
            rows=[row - begin for row in rows],
            targets=targets,
            word=asked.word and len(asked.ids) == 1,
        )

    def _resume(self, job: Job, answer: Any) -> None:
        """Let a request go on until it waits for something, or ends."""
        try:
            while True:
                asked = job.work.send(answer)
                if isinstance(asked, Begin):
                    self._give_up(job)
                    if asked.blocks > self._blocks.count:
                        job.work.close()
                        raise _too_much(asked.blocks, self._blocks.count)
                    job.waits = asked
                    return
                if not isinstance(asked, Fork | Save | Recall):
                    job.readings = [_Reading(read) for read in asked]
                    return
                answer = self._at_once(job, asked)
        except StopIteration as end:
            self._end(job)
            job.done(end.value, None)
        except Exception as error:  # noqa: BLE001 - whoever asked is told, the others go on
            self._end(job)
            job.done(None, error)

    def _at_once(self, job: Job, asked: Fork | Save | Recall) -> Any:
        """What needs no pass."""
        if isinstance(asked, Save):
            return self._graph.dump(asked.sequence.blocks)
        if isinstance(asked, Fork):
            for sequence in job.held:
                if sequence is not asked.sequence:
                    self._blocks.end(sequence)
            forks = [self._blocks.fork(asked.sequence) for _ in range(asked.count)]
            job.held = [asked.sequence, *forks]
            return forks
        self._graph.copy(self._blocks.extend(asked.sequence, len(asked.ids)))
        self._graph.load(asked.sequence.blocks, asked.contents)
        self._blocks.wrote(asked.sequence, asked.ids)
        return None

    def _give_up(self, job: Job) -> None:
        for sequence in job.held:
            self._blocks.end(sequence)
        self._blocks.release(job.promised)
        job.held, job.promised = [], 0

    def _end(self, job: Job) -> None:
        self._give_up(job)
        self._jobs.remove(job)
        role = job.order.role
        if all(other.order.role != role for other in self._jobs):
            del self._spent[role]


def _too_much(blocks: int, count: int) -> ModelError:
    return ModelError(
        f"the request needs memory for {blocks * BLOCK} tokens at once, of {count * BLOCK} in all",
        cure="ask for less at once, or give the model more memory",
    )
