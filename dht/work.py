"""Running what answers requests and takes time: the handlers of direct requests, and our own.

Guards: a handler's fault is told to the peer as a refusal and to the log; none of it ends a task
with an exception that nobody awaits.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pockethive.core.errors import PocketHiveError, ProtocolError
from pockethive.dht import reasons, wire
from pockethive.dht.reasons import Counts
from pockethive.dht.transport import Message

Handler = Callable[[bytes, bytes], Awaitable[bytes] | bytes]
"""Answers a direct request: `handler(peer's key, body) -> body`."""

Waiting = Callable[[Message, list[Any]], Awaitable[object]]
"""Answers a request of the DHT that takes time: `waiting(message, arguments) -> value`."""

log = logging.getLogger(__name__)

_LONGEST: Final = 60.0  # seconds; nobody waits so long


async def guarded(work: Callable[[], Awaitable[None]], name: str) -> None:
    """Work that nobody awaits."""
    try:
        await work()
    except PocketHiveError as error:
        log.debug("%s: %s", name, error)
    except Exception:
        log.exception("%s failed", name)


async def handled(handler: Handler, public: bytes, body: bytes, counts: Counts) -> bytes:
    """The packed answer of a direct request's handler, whatever it does."""
    try:
        result = handler(public, body)
        async with asyncio.timeout(_LONGEST):
            value = result if isinstance(result, bytes) else await result
        return wire.pack_reply(wire.need(value))
    except PocketHiveError as error:
        _note(error, counts)
        return wire.pack_refusal(str(error))
    except Exception:
        log.exception("the handler of a direct request failed")
        return wire.pack_refusal("the handler failed")


async def waited(work: Waiting, message: Message, arguments: list[Any], counts: Counts) -> bytes:
    """The packed answer of work that takes time."""
    try:
        async with asyncio.timeout(_LONGEST):
            return wire.pack_reply(await work(message, arguments))
    except PocketHiveError as error:
        _note(error, counts)
        return wire.pack_refusal(error.what)
    except Exception:
        counts[reasons.INTERNAL] += 1
        log.exception("a request that takes time failed inside")
        return wire.pack_refusal("it failed here")


def _note(error: PocketHiveError, counts: Counts) -> None:
    if isinstance(error, ProtocolError):
        counts.note(error)
