"""The connections that a small server of ours has open: bounded, timed, all closed at its end."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)

Serve = Callable[[asyncio.StreamReader], Awaitable[bytes]]
"""Reads one request and returns the bytes to answer."""


class Connections:
    """Belongs to one event loop. `most` are open at a time; each lasts `seconds` at most."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._open: set[asyncio.Task[None]] = set()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, serve: Serve
    ) -> None:
        """Answer one request, or hang up at once where too many are open."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._open) >= self._most:
            writer.close()
            return
        self._open.add(task)
        try:
            async with asyncio.timeout(self._seconds):
                writer.write(await serve(reader))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            _log.debug("whoever asked went away: %s", error)
        finally:
            self._open.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    async def close(self, server: asyncio.Server) -> None:
        """Stop listening and cut every connection off."""
        server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await server.wait_closed()
