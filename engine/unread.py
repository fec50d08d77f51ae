"""What one reader has yet to read of a run's happenings, however slow it is.

Guards: memory does not grow with what nobody reads. The oldest give way and are counted, and a loop
that is busy is woken once, not once for each happening.
"""

import asyncio
import threading
from collections import deque

from pockethive.core.report import Happening

MAX_UNREAD = 1_000


class Unread:
    """`put` on any thread; the rest on the reader's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int = MAX_UNREAD) -> None:
        self._loop, self._most = loop, most
        self._kept: deque[Happening] = deque()
        self._missed = 0
        self._woken = False
        self._ready = asyncio.Event()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, happening: Happening) -> None:
        """Keep it, in place of the oldest if there is no room."""
        with self._lock:
            if len(self._kept) >= self._most:
                self._kept.popleft()
                self._missed += 1
            self._kept.append(happening)
            wakes, self._woken = not self._woken, True
        if wakes:
            self._loop.call_soon_threadsafe(self._ready.set)

    async def wait(self) -> None:
        """Until there is something to take."""
        await self._ready.wait()

    def take(self) -> list[Happening]:
        """Everything kept; one that says `missed` comes first where something gave way."""
        with self._lock:
            taken, missed = list(self._kept), self._missed
            self._kept.clear()
            self._missed, self._woken = 0, False
            self._ready.clear()
        if missed:
            told = f"{missed} happenings before this one were not read in time"
            data = {"count": missed}
            taken.insert(0, Happening(what="missed", run=taken[0].run, detail=told, data=data))
        return taken
