"""Iterative lookup: ask ever nearer nodes until the k nearest that live have all answered.

Guards: probes are independent (a slow node frees its place after a moment, it does not hold up the
others); time, number of questions and number of candidates are bounded, whatever peers answer.
"""

import asyncio
from bisect import insort
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht.contact import Contact
from pockethive.dht.identity import node_id

PATIENCE: Final = 0.25  # seconds after which a probe is slow and no longer counts
_QUESTIONS_PER_K: Final = 12

Question = Callable[[Contact], Awaitable[list[Contact]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a lookup ended with.

    Attributes:
        contacts: the nearest nodes that answered, nearest first, at most k.
        hops: how many referrals led to the nearest one; 0 when it was known before.
        asked: how many nodes were asked.
        complete: False when time or questions ran out first.
    """

    contacts: tuple[Contact, ...]
    hops: int
    asked: int
    complete: bool


@dataclass(slots=True, eq=False)
class _Candidate:
    contact: Contact
    distance: int
    depth: int
    asked: float | None = None  # on the loop's clock
    answered: bool = False
    silent: bool = False  # kept, or others would bring it in again


class Lookup:
    """One search for a 20-byte target. Runs once, on the node's loop."""

    def __init__(self, target: bytes, own: bytes, *, k: int, alpha: int) -> None:
        self._target = int.from_bytes(target, "big")
        self._k, self._alpha = k, alpha
        self._known = {own}  # public keys; others will name this node too
        self._order: list[_Candidate] = []  # nearest first
        self._news: asyncio.Queue[tuple[_Candidate, list[Contact] | None]] = asyncio.Queue()
        self._probes: list[asyncio.Task[None]] = []
        self._out: list[_Candidate] = []
        self._settled = False

    async def run(self, start: Iterable[Contact], question: Question, budget: float) -> Found:
        """Search from the contacts known now for at most `budget` seconds."""
        loop = asyncio.get_running_loop()
        deadline, complete = loop.time() + budget, False
        self._offer(start, 0)
        try:
            while loop.time() < deadline:
                complete = all(candidate.answered for candidate in self._nearest(self._k))
                if complete:
                    break
                self._ask(question, loop.time())
                if not self._out:
                    break
                try:
                    async with asyncio.timeout(min(PATIENCE, deadline - loop.time())):
                        candidate, contacts = await self._news.get()
                except TimeoutError:
                    continue
                self._take(candidate, contacts)
        finally:
            await self._end_probes()
        return self._found(complete)

    def _nearest(self, count: int) -> Iterator[_Candidate]:
        return islice((c for c in self._order if not c.silent), count)

    def _ask(self, question: Question, now: float) -> None:
        # A slow node is probably dead: meanwhile the next one after the k is asked.
        asked = (candidate.asked for candidate in self._out)
        slow = sum(since is not None and now - since >= PATIENCE for since in asked)
        parallel = slow + (self._k if self._settled else self._alpha)
        for candidate in self._nearest(self._k + slow):
            if len(self._out) >= parallel or len(self._probes) >= self._k * _QUESTIONS_PER_K:
                return
            if candidate.asked is None:
                candidate.asked = now
                self._out.append(candidate)
                probe = self._probe(candidate, question)
                self._probes.append(asyncio.create_task(probe, name="pockethive-lookup"))

    async def _probe(self, candidate: _Candidate, question: Question) -> None:
        contacts: list[Contact] | None = None
        try:
            contacts = await question(candidate.contact)
        except (NetworkError, ProtocolError):
            contacts = None
        self._news.put_nowait((candidate, contacts))

    def _take(self, candidate: _Candidate, contacts: list[Contact] | None) -> None:
        self._out.remove(candidate)
        if contacts is None:
            candidate.silent = True
            return
        before = [each.distance for each in self._nearest(self._k)]
        candidate.answered = True
        self._offer(contacts, candidate.depth + 1)
        # Nobody nearer came up, and the nearest has been heard: all at once with the rest of the k.
        after = list(self._nearest(self._k))
        self._settled = after[0].answered and [each.distance for each in after] == before

    def _offer(self, contacts: Iterable[Contact], depth: int) -> None:
        for contact in contacts:
            if contact.public in self._known:
                continue  # else bounded by questions times k, the most that an answer may name
            self._known.add(contact.public)
            distance = int.from_bytes(node_id(contact.public), "big") ^ self._target
            insort(self._order, _Candidate(contact, distance, depth), key=lambda c: c.distance)

    def _found(self, complete: bool) -> Found:
        answered = [candidate for candidate in self._order if candidate.answered][: self._k]
        return Found(
            contacts=tuple(candidate.contact for candidate in answered),
            hops=answered[0].depth if answered else 0,
            asked=len(self._probes),
            complete=complete,
        )

    async def _end_probes(self) -> None:
        for probe in self._probes:
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)
