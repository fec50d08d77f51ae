"""One large blob from several holders at once.

Every holder has a few lanes, each with one request under way; free lanes take the next chunk. Near
the end a lane with nothing left asks for a chunk that is overdue elsewhere, so the slowest holder
does not decide when the blob is there.

Guards: each chunk is checked before it is kept; a holder that gives other bytes is dropped and
counted; a chunk is asked of at most `COPIES` holders at a time.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht.carrier import BlobCarrier
from pockethive.dht.contact import Contact
from pockethive.dht.partial import Partial

LANES: Final = 4  # chunks under way from one holder
MAX_HOLDERS: Final = 8  # at a time
COPIES: Final = 3  # of one chunk under way
_FIRST_PACE: Final = 0.5  # seconds a chunk is expected to take before one has come
_LEAST: Final = 0.05  # seconds


@dataclass(slots=True)
class _Underway:
    """A chunk that was asked for: since when (on the loop's clock), and of whom."""

    since: float
    holders: list[Contact] = field(default_factory=list)


class Download:
    """Fetches what a partial misses. Runs once, on the loop of the carrier."""

    def __init__(self, carrier: BlobCarrier, partial: Partial, missing: Sequence[int]) -> None:
        self._carrier, self._partial = carrier, partial
        self._loop = asyncio.get_running_loop()
        self._todo = deque(missing)
        self._left = len(missing)
        self._underway: dict[int, _Underway] = {}
        self._pace: dict[Contact, float] = {}
        self._complete = asyncio.Event()
        self._checker = ThreadPoolExecutor(1, "pockethive-chunks")  # more would fight over the GIL
        self._news = asyncio.Event()  # set when a chunk is given back
        self.faults: dict[Contact, str] = {}
        self.liars: dict[Contact, str] = {}
        self.asked: Counter[Contact] = Counter()

    async def run(self, holders: Sequence[Contact]) -> None:
        """Fetch from these holders, the first `MAX_HOLDERS` at a time.

        Raises:
            NetworkError: all of them failed before everything was there; `faults` says how.
            StorageError: the disk refuses.
        """
        if self._left == 0:
            return
        spare = deque(holders)
        first = [spare.popleft() for _ in range(min(MAX_HOLDERS, len(spare)))]
        tasks = {asyncio.create_task(self._draw(one, spare)) for one in first}
        complete = asyncio.create_task(self._complete.wait())
        try:
            while tasks and not complete.done():
                done, _ = await asyncio.wait(
                    {*tasks, complete}, return_when=asyncio.FIRST_COMPLETED
                )
                tasks -= done
                for task in done:
                    task.result()
        finally:
            await _end([*tasks, complete])
            self._checker.shutdown(wait=False, cancel_futures=True)
        if self._left:
            faults = "; ".join(self.faults.values())
            raise NetworkError(f"no holder gave the rest of the blob: {faults}")

    async def _draw(self, holder: Contact, spare: "deque[Contact]") -> None:
        """All lanes of a holder; when it fails, the next one that waits takes its place."""
        while True:
            lanes = [asyncio.create_task(self._lane(holder)) for _ in range(LANES)]
            try:
                await asyncio.gather(*lanes)
                return
            except NetworkError as error:
                self.faults[holder] = str(error)
            except ProtocolError as error:
                self.faults[holder] = self.liars[holder] = f"{holder.host}:{holder.port}: {error}"
                self._carrier.counters.note(error)
                self._carrier.hang_up(holder)
            finally:
                await _end(lanes)
            if not spare:
                return
            holder = spare.popleft()

    async def _lane(self, holder: Contact) -> None:
        while self._left:
            index = self._next(holder)
            if index is None:
                await self._pause(holder)
                continue
            began = self._loop.time()
            try:
                self.asked[holder] += 1
                reply = await self._carrier.ask(holder, self._partial.name, index)
                write = self._partial.write
                await self._loop.run_in_executor(self._checker, write, index, reply.data)
                self._done(index)
            finally:
                self._give_back(holder, index)
            took = self._loop.time() - began
            self._pace[holder] = (self._pace.get(holder, took) + took) / 2

    def _next(self, holder: Contact) -> int | None:
        """The next chunk, else one that is overdue elsewhere and was not asked here."""
        now = self._loop.time()
        if self._todo:
            index = self._todo.popleft()
            self._underway[index] = _Underway(now, [holder])
            return index
        patience = max(_LEAST, 2 * self._pace.get(holder, _FIRST_PACE))
        for index, underway in self._underway.items():
            asked = underway.holders
            if holder not in asked and len(asked) < COPIES and now - underway.since >= patience:
                asked.append(holder)
                return index
        return None

    def _done(self, index: int) -> None:
        if self._underway.pop(index, None) is None:
            return  # another holder was faster
        self._left -= 1
        if self._left == 0:
            self._complete.set()

    def _give_back(self, holder: Contact, index: int) -> None:
        underway = self._underway.get(index)
        if underway is None:
            return
        underway.holders.remove(holder)
        if not underway.holders:
            del self._underway[index]
            self._todo.appendleft(index)
            self._news.set()

    async def _pause(self, holder: Contact) -> None:
        """Until a chunk was given back, or one may have become overdue."""
        self._news.clear()
        try:
            async with asyncio.timeout(max(_LEAST, self._pace.get(holder, _FIRST_PACE))):
                await self._news.wait()
        except TimeoutError:
            return


async def _end(tasks: "Sequence[asyncio.Task[None]] | Sequence[asyncio.Task[object]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
