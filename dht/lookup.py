"""Iterative lookup: ask ever nearer nodes until the k nearest that live have all answered.

Guards: probes are independent (a slow node frees its place after a moment, it does not hold up the
others); time, number of questions and number of candidates are bounded, whatever peers answer.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht.contact import Contact
from pockethive.dht.routing import Peer

PATIENCE: Final = 0.25  # seconds after which a probe is slow and no longer counts
_QUESTIONS_PER_K: Final = 12
_CANDIDATES_PER_K: Final = 8

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


@dataclass(slots=True)
class _Candidate:
    peer: Peer
    distance: int
    depth: int
    asked: float | None = None  # on the loop's clock
    answered: bool = False
    silent: bool = False  # kept, or others would bring it in again


class Lookup:
    """One search for a 20-byte target. Runs once, on the node's loop."""

    def __init__(self, target: bytes, own: bytes, question: Question) -> None:
        self._target = int.from_bytes(target, "big")
        self._own = own  # this node's key: others will name it
        self._question = question
        self._candidates: dict[bytes, _Candidate] = {}
        self._news: asyncio.Queue[tuple[_Candidate, list[Contact] | None]] = asyncio.Queue()
        self._probes: dict[bytes, asyncio.Task[None]] = {}
        self._asked = 0
        self._most = 0
        self._settled = False

    async def run(self, start: Sequence[Peer], *, k: int, alpha: int, budget: float) -> Found:
        """Search from the contacts known now; `budget` is seconds."""
        loop = asyncio.get_running_loop()
        deadline, complete = loop.time() + budget, False
        self._most = k * _QUESTIONS_PER_K
        self._offer([peer.contact for peer in start], 0, k)
        try:
            while not complete and loop.time() < deadline:
                complete = all(candidate.answered for candidate in self._nearest(k))
                # A slow node is probably dead: meanwhile the next one after the k is asked.
                slow = self._slow(loop.time())
                parallel = k if self._settled else alpha
                self._ask(self._nearest(k + slow), parallel + slow, loop.time())
                if complete or not self._probes:
                    break
                try:
                    async with asyncio.timeout(min(PATIENCE, deadline - loop.time())):
                        candidate, contacts = await self._news.get()
                except TimeoutError:
                    continue
                self._take(candidate, contacts, k)
        finally:
            await self._end_probes()
        return self._found(k, complete)

    def _nearest(self, k: int) -> list[_Candidate]:
        hopeful = (c for c in self._candidates.values() if not c.silent)
        return heapq.nsmallest(k, hopeful, key=lambda c: c.distance)

    def _slow(self, now: float) -> int:
        asked = (self._candidates[name].asked for name in self._probes)
        return sum(since is not None and now - since >= PATIENCE for since in asked)

    def _ask(self, nearest: list[_Candidate], parallel: int, now: float) -> None:
        for candidate in nearest:
            if len(self._probes) >= parallel or self._asked >= self._most:
                return
            if candidate.asked is None:
                candidate.asked = now
                self._asked += 1
                self._probes[candidate.peer.id] = asyncio.create_task(
                    self._probe(candidate), name="pockethive-lookup"
                )

    async def _probe(self, candidate: _Candidate) -> None:
        contacts: list[Contact] | None = None
        try:
            contacts = await self._question(candidate.peer.contact)
        except (NetworkError, ProtocolError):
            contacts = None
        self._news.put_nowait((candidate, contacts))

    def _take(self, candidate: _Candidate, contacts: list[Contact] | None, k: int) -> None:
        self._probes.pop(candidate.peer.id, None)
        if contacts is None:
            candidate.silent = True
            return
        before = [c.distance for c in self._nearest(k)]
        candidate.answered = True
        self._offer(contacts, candidate.depth + 1, k)
        # Nobody nearer came up: all that is left is to hear from the k, all at once.
        self._settled = [c.distance for c in self._nearest(k)] == before

    def _offer(self, contacts: Sequence[Contact], depth: int, k: int) -> None:
        for contact in contacts:
            peer = Peer(contact)
            if contact.public != self._own and peer.id not in self._candidates:
                distance = peer.long_id ^ self._target
                self._candidates[peer.id] = _Candidate(peer, distance, depth)
        surplus = len(self._candidates) - k * _CANDIDATES_PER_K
        if surplus > 0:
            unasked = (c for c in self._candidates.values() if c.asked is None)
            for candidate in heapq.nlargest(surplus, unasked, key=lambda c: c.distance):
                del self._candidates[candidate.peer.id]

    def _found(self, k: int, complete: bool) -> Found:
        answered = [c for c in self._nearest(len(self._candidates)) if c.answered][:k]
        return Found(
            contacts=tuple(candidate.peer.contact for candidate in answered),
            hops=answered[0].depth if answered else 0,
            asked=self._asked,
            complete=complete,
        )

    async def _end_probes(self) -> None:
        for probe in self._probes.values():
            probe.cancel()
        await asyncio.gather(*self._probes.values(), return_exceptions=True)
