"""The watch at the idle gate: looks at the device, tells its machines when lending changes.

Guards: the gate decides; here is its clock, and the thread that reads slow files.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pockethive.activity import Activity
from pockethive.core.events import Event, LendingChanged
from pockethive.core.idle import Gate, GateSettings, Lending, Reading

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0


class IdleWatch:
    """`lending` is what holds now. `start` and `stop` on the device's loop."""

    def __init__(
        self, settings: GateSettings, post: Callable[[Event], None], clock: Callable[[], float]
    ) -> None:
        self._gate, self._post, self._clock = Gate(settings), post, clock
        self._activity = Activity()
        self._task: asyncio.Task[None] | None = None
        self.lending = Lending(open=False, reason="it has not been looked at yet")

    def start(self) -> None:
        """Look from now on."""
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="idle watch")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                self._take(self._gate.handle(await self._look(), self._clock()))
            except (OSError, ValueError) as error:  # a process that ended, a number of another form
                _log.debug("the device could not be looked at: %s", error)
                self._take(Lending(open=False, reason="its load could not be read"))
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> Reading:
        return await asyncio.to_thread(self._activity.read)

    def _take(self, now: Lending) -> None:
        before, self.lending = self.lending, now
        if now.open != before.open:
            fields = {"lending": now.open, "reason": now.reason}
            _log.info("lending changed", extra={"fields": fields})
            self._post(LendingChanged(open=now.open, reason=now.reason))
