"""How a device that serves already comes into its hive: whom it asks, in what order, how long.

Guards: whoever is dead costs nobody's time but this one's: all are asked at once, the first answer
is enough to go on, and whoever need not wait for it does not.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from pockethive.core.errors import NetworkError
from pockethive.dht.contact import Contact
from pockethive.dht.reach import KeyInUse

if TYPE_CHECKING:
    from pockethive.parts import Parts

_log = logging.getLogger(__name__)

Met: TypeAlias = tuple[Contact, ...]
"""Whom this device greeted, some of whom answered; nobody, if none did."""

REMEMBERED_SECONDS: Final = 3.0  # for devices of earlier days, which may all be gone
SETTLE_SECONDS: Final = 5.0  # what somebody who needs peers waits at most for a device to have some


class Arrival:
    """Of one device, once. On its loop."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        self._meeting: asyncio.Task[Met] | None = None
        self._nearby: asyncio.Task[Met] | None = None
        self._settling: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Set out. Others may speak to this device from now on, and hear what it is."""
        parts, loop = self._parts, asyncio.get_running_loop()
        parts.roster.describe(parts.own_member())
        self._nearby = loop.create_task(self._meet_nearby(), name="nearby")
        self._meeting = loop.create_task(self._meet(self._nearby), name="meeting")
        self._settling = loop.create_task(self._settle(self._meeting, self._nearby), name="arrival")

    async def met(self) -> None:
        """Until somebody has answered, or nobody whom it could ask has.

        Raises:
            NetworkError: devices were named and none answered, nor did any other that is known.
            Failure: the hive does not know this device.
        """
        assert self._meeting is not None, "begin() comes first"
        await asyncio.shield(self._meeting)

    async def settled(self) -> None:
        """Until the device has met its hive and told it of itself. Raises as `met` does."""
        assert self._settling is not None, "begin() comes first"
        await asyncio.shield(self._settling)

    async def wait(self) -> None:
        """As `settled`, for `SETTLE_SECONDS` at most, whatever comes of it."""
        if self._settling is not None:
            await asyncio.wait((self._settling,), timeout=SETTLE_SECONDS)

    async def stop(self) -> None:
        """Turn round, wherever it is."""
        tasks = [task for task in (self._settling, self._meeting, self._nearby) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self, meeting: "asyncio.Task[Met]", nearby: "asyncio.Task[Met]") -> None:
        """Join through whoever answered, and tell the hive what this device is."""
        parts = self._parts
        met = [*await meeting, *await nearby]
        if met:
            await self._join(met)
            await parts.roster.read()
        await parts.roster.start(parts.own_member())
        if parts.hive is not None:
            await parts.hive.start()

    async def _meet(self, nearby: "asyncio.Task[Met]") -> Met:
        """Greet the devices that were named and those remembered; all of them, if any answers."""
        named, known = self._parts.settings.join, self._parts.remembered()
        contacts = tuple({contact.public: contact for contact in (*known, *named)}.values())
        try:
            async with asyncio.timeout(None if named else REMEMBERED_SECONDS):
                return await self._greet(contacts)
        except (NetworkError, TimeoutError) as error:
            if named and not await nearby:
                raise
            _log.info("no device of earlier days answers: %s", error)
            return ()

    async def _meet_nearby(self) -> Met:
        """Greet what is found on the local network."""
        try:
            return await self._greet(tuple(await self._parts.nearby()))
        except NetworkError as error:
            _log.info("no device nearby answers: %s", error)
            return ()

    async def _greet(self, contacts: Met) -> Met:
        if contacts and self._parts.hive is not None:
            await self._parts.hive.introduce(contacts)
        await self._parts.node.greet(contacts)
        return contacts

    async def _join(self, contacts: Sequence[Contact]) -> None:
        """Find the neighbours. Those that are named and dead may take all the time there is."""
        named = bool(self._parts.settings.join)
        try:
            async with asyncio.timeout(None if named else REMEMBERED_SECONDS):
                await self._parts.node.join(contacts)
        except KeyInUse:
            raise
        except (NetworkError, TimeoutError) as error:
            if named:
                raise
            _log.info("the neighbours were not found: %s", error)
