"""One witness: asks go to the rules one by one, their cells are durable before any answer.

Guards: compare and set. All asks that arrive while a commit is on its way to the disk share the
next one (group commit), and the disk never holds up the event loop.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pockethive.core.errors import ProtocolError
from pockethive.dht.cells import CellStore
from pockethive.dht.rules import Ask, Rules

MAX_WAITING = 1024


@dataclass(frozen=True, slots=True)
class _Request:
    peer: bytes
    body: bytes
    reply: asyncio.Future[bytes]


class Witness:
    """Belongs to one event loop; with a `path` its cells live in a file, on their own thread."""

    def __init__(self, rules: Rules, clock: Callable[[], float], path: Path | None) -> None:
        self._rules, self._clock = rules, clock
        self._cells = CellStore(path, clock)
        self._thread = None if path is None else ThreadPoolExecutor(1, "pockethive-witness")
        self._waiting: list[_Request] = []
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def cells(self) -> int:
        """How many cells it keeps now."""
        return self._cells.count

    async def decide(self, peer: bytes, body: bytes) -> bytes:
        """The rules' reply to one ask, once its cell is durable.

        Raises:
            ProtocolError: the rules refuse, or too many asks are waiting.
            StorageError: the disk refuses; nothing was promised.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise ProtocolError("the witness is busy", where="busy")
        loop = asyncio.get_running_loop()
        request = _Request(peer, body, loop.create_future())
        self._waiting.append(request)
        if self._idle.is_set():
            self._idle.clear()
            loop.call_soon(self._begin, loop)
        return await request.reply

    async def close(self) -> None:
        await self._idle.wait()
        if self._thread is not None:
            self._thread.shutdown()
        self._cells.close()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the loop: let all that wait be decided, on the witness's thread where it has one."""
        batch, self._waiting = self._waiting, []
        if not batch:
            self._idle.set()
        elif self._thread is None:
            self._settle(loop, batch, self._decide_all(batch))
        else:
            self._thread.submit(self._work, loop, batch)

    def _work(self, loop: asyncio.AbstractEventLoop, batch: list[_Request]) -> None:
        loop.call_soon_threadsafe(self._settle, loop, batch, self._decide_all(batch))

    def _settle(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[_Request],
        replies: list[bytes | Exception],
    ) -> None:
        for request, reply in zip(batch, replies, strict=True):
            if request.reply.done():
                continue
            if isinstance(reply, bytes):
                request.reply.set_result(reply)
            else:
                request.reply.set_exception(reply)
        self._begin(loop)

    def _decide_all(self, requests: list[_Request]) -> list[bytes | Exception]:
        replies: list[bytes | Exception] = []
        try:
            with self._cells.transaction():
                replies.extend(self._decide(request) for request in requests)
        except Exception as error:  # noqa: BLE001 - a full disk, say: nobody was promised anything
            return [error] * len(requests)
        return replies

    def _decide(self, request: _Request) -> bytes | Exception:
        try:
            key = self._rules.cell_key(request.body)
            old = self._cells.get(key)
            ask = Ask(
                peer=request.peer,
                cell=old,
                request=request.body,
                now=self._clock(),
                born=self._cells.born,
            )
            decision = self._rules.decide(ask)
            self._cells.put(key, old, decision.cell)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of one ask is told to that one only
            return error
        return decision.reply
