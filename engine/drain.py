"""Leaving a hive in order: no new work, an end to what is in hand, the records to those who stay.

Guards: bounded at every step, so that a process that was told to end does end; whoever relied on
this device hears of it at once and does not have to find out by waiting.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pockethive.core.errors import PocketHiveError
from pockethive.core.events import Leaving

if TYPE_CHECKING:
    from pockethive.parts import Parts

_log = logging.getLogger(__name__)

TELL_SECONDS: Final = 1.0  # for telling the hive that this device takes no more work
FREE_SECONDS: Final = 1.5  # for giving leases back
HAND_OVER_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """How it went: jobs that were given up, records that others hold now."""

    given_up: int
    handed_over: int


async def drain(parts: "Parts", seconds: float) -> Drained:
    """Leave; `parts` are to be closed afterwards. On the device's loop.

    Work in hand gets at most `seconds`. With none it is given up at once, and no record is handed
    over: the quick way to go.
    """
    parts.draining = True
    await parts.arrival.stop()
    parts.post(Leaving(patient=seconds > 0))
    if seconds > 0:
        await _tell(parts)
        await _until(lambda: not any(parts.open_jobs.values()), seconds)
    given_up = sum(parts.open_jobs.values())
    if given_up:
        parts.post(Leaving(patient=False))
    await _until(lambda: not any(parts.open_jobs.values()) and not parts.under_way, FREE_SECONDS)
    handed = 0
    if seconds > 0:
        handed = await parts.node.hand_over(min(HAND_OVER_SECONDS, seconds))
    await parts.roster.farewell()
    return Drained(given_up=given_up, handed_over=handed)


async def _tell(parts: "Parts") -> None:
    """Advertise that this device does no work any more."""
    own = parts.roster.member(parts.entries.device)
    if own is None or not (own.works or own.checkers):
        return
    idle = replace(own, works=False, skills=(), checkers=())
    try:
        async with asyncio.timeout(2 * TELL_SECONDS):
            await parts.roster.retire(idle, TELL_SECONDS)
    except (PocketHiveError, TimeoutError) as error:
        _log.debug("not everybody could be told: %r", error)


async def _until(done: Callable[[], bool], seconds: float) -> None:
    """Wait until `done()`, at most `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not done() and loop.time() < deadline:  # noqa: ASYNC110 - jobs end on another thread
        await asyncio.sleep(_LOOK_SECONDS)
