"""Which runs of this device are open: notes by which the owner's other devices find them.

A note under a key of the owner's says a run's id and nothing else; who reads it believes what the
run's claim proves. Guards: a run that has ended here is closed for everybody, before its caller's
process may be gone.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pockethive.actors.egress import Egress
from pockethive.actors.entries import Entries
from pockethive.core.claim import claim_id
from pockethive.core.entry import Close, CloseReason, Kind
from pockethive.core.errors import PocketHiveError
from pockethive.core.fields import clip
from pockethive.core.task import RunId, Task
from pockethive.dht.notes import MAX_SECONDS

_log = logging.getLogger(__name__)

OPEN: Final = b"open"
ENDED: Final = b"ended"


def runs_key(owner_key: str) -> str:
    """The key of the notes about an owner's runs."""
    return f"runs of {owner_key}"


class RunList:
    """Of one device. On its loop. `clock`: unix seconds."""

    def __init__(self, entries: Entries, egress: Egress, clock: Callable[[], float]) -> None:
        self._entries, self._egress, self._clock = entries, egress, clock
        self._open: dict[RunId, Task] = {}
        self._going: set[asyncio.Task[None]] = set()

    async def add(self, claim: Task) -> None:
        """Let a run be found. Faults are logged: it can be gone on with from its own home."""
        self._open[claim.run] = claim
        await self._note(claim, OPEN)

    async def ended(self, run: RunId, status: str) -> None:
        """A run that was added has ended, and is nobody's to go on with."""
        claim = self._open.pop(run, None)
        if claim is None:
            return
        task = asyncio.create_task(self._close(claim, status), name="pockethive-run-ended")
        self._going.add(task)
        task.add_done_callback(self._going.discard)
        await asyncio.shield(task)

    def moved(self, run: RunId) -> None:
        """A run is another device's: nothing is said of it."""
        self._open.pop(run, None)

    async def settled(self) -> None:
        """Wait until what was begun is done."""
        await asyncio.gather(*self._going, return_exceptions=True)

    async def _close(self, claim: Task, status: str) -> None:
        body = Close(
            task=claim_id(claim.run),
            reason=CloseReason.CANCELLED,
            detail=clip(f"the run has ended on device {self._entries.device[:8]}: {status}"),
        )
        record, _ = self._entries.sign(Kind.CLOSE, body, claim.expires)
        try:
            await self._egress.publish(record)
        except PocketHiveError as error:
            _log.warning("that run %s has ended is not known to others: %s", claim.run, error)
        await self._note(claim, ENDED)

    async def _note(self, claim: Task, value: bytes) -> None:
        now = self._clock()
        seconds = min(MAX_SECONDS - 2.0, claim.expires - now) + (value == ENDED)
        try:
            await self._egress.note(runs_key(claim.owner_key), value, seconds, claim.run)
        except PocketHiveError as error:
            _log.warning("run %s is not listed: %s", claim.run, error)
