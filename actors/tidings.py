"""Telling of changes that come in bursts, such as of the devices that are known.

Guards: the first change is told at once and the last one a moment later at most; between them
nobody is told, because whoever hears of a change looks at everything that is known.
"""

import asyncio
from collections.abc import Callable

GATHERED_SECONDS = 0.25


class Tidings:
    """Calls `tell` after changes, not twice within `GATHERED_SECONDS`. On the loop."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._told_at = -GATHERED_SECONDS
        self._timer: asyncio.TimerHandle | None = None

    def change(self) -> None:
        """Something is another; it is told of now or soon."""
        if self._timer is not None:
            return
        loop, due = asyncio.get_running_loop(), self._told_at + GATHERED_SECONDS
        if loop.time() >= due:
            self._told_at = loop.time()
            self._tell()
        else:
            self._timer = loop.call_at(due, self.flush)

    def flush(self) -> None:
        """Tell now of a change that waits, if there is one."""
        if self._timer is not None:
            self.stop()
            self._told_at = asyncio.get_running_loop().time()
            self._tell()

    def stop(self) -> None:
        """Tell of nothing that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
