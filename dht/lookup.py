"""Iterative lookup: ask ever nearer nodes until the k nearest that live have all answered.

Guards: probes are independent (a slow node frees its place after a moment, it does not hold up the
others); time, number of questions and number of candidates are bounded, whatever peers answer; who
keeps naming nodes that are not there is believed no longer.
"""

import asyncio
from bisect import insort
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Final

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht.contact import Contact
from pockethive.dht.eviction import FARTHEST
from pockethive.dht.identity import node_id

PATIENCE: Final = 0.15  # seconds after which a probe is late, and another is sent beside it
_LATE: Final = 1.5  # times the mean of those that answered, where that is longer
_GONE: Final = 3.2  # the same, for when k others have answered and this one is not waited for
QUESTIONS_PER_K: Final = 12
_PAUSE: Final = 0.05  # seconds between looks at who is late
_SPARE: Final = 4  # how many are asked beside a late one once somebody was gone; before, half
_BESIDE: Final = 2  # one who is asked names one behind the k in his own place, one in the asker's
_MISLEADING: Final = 3  # silent nodes that somebody named before his word is worth nothing

Question = Callable[[Contact], Awaitable[list[Contact]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a lookup ended with.

    Attributes:
        contacts: the nearest nodes that answered, nearest first, at most k.
        hops: how many referrals led to the nearest one; 0 when it was known before.
        asked: how many nodes were asked.
        complete: False when time or questions ran out first.
        late: who is nearer than the last of the contacts and was not waited for.
    """

    contacts: tuple[Contact, ...]
    hops: int
    asked: int
    complete: bool
    late: tuple[Contact, ...] = ()


@dataclass(slots=True, eq=False)
class _Candidate:
    contact: Contact
    distance: int
    depth: int
    named_by: "list[_Candidate]" = field(default_factory=list)  # empty: known before
    asked: float | None = None  # on the loop's clock
    answered: bool = False
    silent: bool = False  # kept, or others would bring it in again
    lost: int = 0  # of the nodes it named: how many were silent, how many answered
    heard: int = 0

    @property
    def misleading(self) -> bool:
        return self.lost >= _MISLEADING and self.lost > 2 * self.heard


@dataclass(frozen=True, slots=True)
class Closing:
    """A question for those who will be among the k nearest, in place of the searching one.

    They are those at most `sure` from the target, and once nobody nearer comes up the rest of the k
    as far as `likely`. Some may turn out not to be among them after all. The question is made of
    the near ones who need not be named, since they have answered or were known before, and of the
    distance at which a contact is too far to be wanted.
    """

    question: Callable[[Sequence[Contact], int], Question]
    sure: int
    likely: int


class Lookup:
    """One search for a 20-byte target. Runs once, on the node's loop.

    Paths that share `taken`, a set of public keys, share no node: each asks whom no other has.
    `late` gets the questions that a lookup does not wait for. They should come to their end, or
    nobody would learn who is dead; without it they are cancelled.
    """

    def __init__(  # noqa: PLR0913 - three of them are for paths and servers only
        self,
        target: bytes,
        own: bytes,
        *,
        k: int,
        alpha: int,
        taken: set[bytes] | None = None,
        late: Callable[[Sequence["asyncio.Task[None]"]], None] | None = None,
        closing: Closing | None = None,
    ) -> None:
        self._closing = closing
        self._target = int.from_bytes(target, "big")
        self._k, self._alpha, self._taken, self._late = k, alpha, taken, late
        self._known: dict[bytes, _Candidate | None] = {own: None}  # others will name this node too
        self._order: list[_Candidate] = []  # nearest first
        self._news: asyncio.Queue[tuple[_Candidate, list[Contact] | None] | None] = asyncio.Queue()
        self._probes: list[asyncio.Task[None]] = []
        self._out: list[_Candidate] = []
        self._settled = self._wary = False  # wary: somebody was gone
        self._answers, self._taken_time = 0, 0.0

    async def run(self, start: Iterable[Contact], question: Question, budget: float) -> Found:
        """Search from the contacts known now for at most `budget` seconds."""
        loop = asyncio.get_running_loop()
        deadline, complete = loop.time() + budget, False
        look = self._look(deadline)  # one timer for many answers
        for contact in start:
            self._offer(contact, None)
        try:
            while (now := loop.time()) < deadline:
                complete = self._complete(now)
                if complete:
                    break
                self._ask(question, now)
                if not self._out:
                    break
                news = await self._news.get()
                if news is None:
                    look = self._look(deadline)
                else:
                    self._take(*news, loop.time())
        finally:
            look.cancel()
            await self._end_probes(complete)
        return self._found(complete)

    def _look(self, deadline: float) -> asyncio.TimerHandle:
        """Wake `run` after a pause, at the deadline if that comes first."""
        loop = asyncio.get_running_loop()
        return loop.call_at(min(loop.time() + _PAUSE, deadline), self._news.put_nowait, None)

    def _waits(self, one: _Candidate, now: float, times: float) -> bool:
        """Whether a candidate that was asked may still answer in reasonable time."""
        if one.asked is None or one.answered:
            return True
        return now - one.asked < max(PATIENCE, times * self._taken_time / max(1, self._answers))

    def _complete(self, now: float) -> bool:
        """The k nearest have answered, or k others while those that are gone were nearer."""
        count = 0
        for candidate in self._nearest():
            if candidate.answered:
                count += 1
            elif self._waits(candidate, now, _GONE):
                return False
            if count == self._k:
                return True
        return not self._out

    def _nearest(self, count: int | None = None) -> Iterator[_Candidate]:
        return islice(filter(self._counts, self._order), count)

    def _counts(self, one: _Candidate) -> bool:
        """Whether a candidate is or can still become one of the nearest."""
        if one.asked is not None:
            return not one.silent
        if self._taken is not None and one.contact.public in self._taken:
            return False
        return not (one.named_by and all(source.misleading for source in one.named_by))

    def _ask(self, question: Question, now: float) -> None:
        # A late node is probably dead: meanwhile the next one after the k is asked.
        # Who was asked first is late first.
        late = sum(1 for _ in takewhile(lambda one: not self._waits(one, now, _LATE), self._out))
        if self._out and not self._waits(self._out[0], now, _GONE):
            self._wary = True
        spare = late * (_SPARE if self._wary else _SPARE // 2)
        parallel = spare + (self._k if self._settled else self._alpha)
        closing: Question | None = None
        place = 0
        for candidate in self._order:  # the nearest that count, for each answer: no calls
            if candidate.silent or (candidate.asked is None and not self._counts(candidate)):
                continue
            if place == self._k + spare:
                return
            if candidate.asked is None:
                if len(self._out) >= parallel or len(self._probes) >= self._k * QUESTIONS_PER_K:
                    return
                asking = question
                if self._closing is not None and self._closes(candidate, place - late):
                    asking = closing = closing or self._closing.question(*self._sure())
                self._send(candidate, asking, now)
            place += 1

    def _send(self, candidate: _Candidate, question: Question, now: float) -> None:
        candidate.asked = now
        if self._taken is not None:
            self._taken.add(candidate.contact.public)
        self._out.append(candidate)
        probe = self._probe(candidate, question)
        self._probes.append(asyncio.create_task(probe, name="pockethive-lookup"))

    def _closes(self, one: _Candidate, place: int) -> bool:
        """Whether the closing question is meant for somebody; `place` leaves out who is late."""
        assert self._closing is not None
        last = self._settled and place < self._k
        return one.distance <= (self._closing.likely if last else self._closing.sure)

    def _sure(self) -> tuple[list[Contact], int]:
        """Near ones whom no word would bring or save, and how far those may be who are wanted."""
        near = list(self._nearest(self._k + _BESIDE))
        sure = [one.contact for one in near if one.answered or not one.named_by]
        return sure, near[-1].distance if len(near) == self._k + _BESIDE else FARTHEST

    async def _probe(self, candidate: _Candidate, question: Question) -> None:
        contacts: list[Contact] | None = None
        try:
            contacts = await question(candidate.contact)
        except (NetworkError, ProtocolError):
            contacts = None
        self._news.put_nowait((candidate, contacts))

    def _take(self, candidate: _Candidate, contacts: list[Contact] | None, now: float) -> None:
        self._out.remove(candidate)
        if contacts is None:
            candidate.silent = self._wary = True
            for source in candidate.named_by:
                source.lost += 1
            return
        news = self._wary or any(contact.public not in self._known for contact in contacts)
        before = self._reach() if news else []
        candidate.answered = True
        self._answers += 1
        self._taken_time += now - (candidate.asked or now)
        for source in candidate.named_by:
            source.heard += 1
        for contact in contacts[: self._k]:
            self._offer(contact, candidate)
        # Nobody nearer came up, and the nearest has been heard: all at once with the rest of the k.
        first = next(
            (each for each in self._nearest(self._k) if self._waits(each, now, _LATE)), None
        )
        unmoved = not news or self._reach() == before
        self._settled = first is not None and first.answered and unmoved

    def _reach(self) -> list[int]:
        """How far the k nearest are."""
        return [each.distance for each in self._nearest(self._k)]

    def _offer(self, contact: Contact, source: _Candidate | None) -> None:
        """A contact that was known or that somebody named; k of each at most, so all is bounded."""
        if contact.public in self._known:
            known = self._known[contact.public]
            if source is not None and known is not None and known.named_by:
                known.named_by.append(source)
            return
        distance = int.from_bytes(node_id(contact.public), "big") ^ self._target
        made = _Candidate(contact, distance, 0 if source is None else source.depth + 1)
        if source is not None:
            made.named_by.append(source)
        self._known[contact.public] = made
        insort(self._order, made, key=_by_distance)

    def _found(self, complete: bool) -> Found:
        answered = [candidate for candidate in self._order if candidate.answered][: self._k]
        reach = answered[-1].distance if answered else 0
        return Found(
            contacts=tuple(candidate.contact for candidate in answered),
            hops=answered[0].depth if answered else 0,
            asked=len(self._probes),
            complete=complete,
            late=tuple(one.contact for one in self._out if one.distance < reach),
        )

    async def _end_probes(self, complete: bool) -> None:
        left = [probe for probe in self._probes if not probe.done()]
        if complete and self._late is not None:
            if left:
                self._late(left)
            return
        for probe in left:
            probe.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _by_distance(one: _Candidate) -> int:
    return one.distance
