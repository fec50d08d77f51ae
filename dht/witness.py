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

from pockethive.core.errors import ProtocolError, StorageError
from pockethive.dht.cells import CellStore
from pockethive.dht.rules import Ask, Rules

MAX_WAITING = 1024


@dataclass(frozen=True, slots=True)
class _Request:
    peer: bytes
    body: bytes


class Witness:
    """Belongs to one event loop; with a `path` its cells live in a file, on their own thread."""

    def __init__(self, rules: Rules, clock: Callable[[], float], path: Path | None) -> None:
        self._rules, self._clock = rules, clock
        self._cells = CellStore(path, clock)
        self._thread = None if path is None else ThreadPoolExecutor(1, "pockethive-witness")
        self._waiting: list[tuple[_Request, asyncio.Future[bytes]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def decide(self, peer: bytes, body: bytes) -> bytes:
        """The rules' reply to one ask, once its cell is durable.

        Raises:
            ProtocolError: the rules refuse, or too many asks are waiting.
            StorageError: the disk refuses; nothing was promised.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise ProtocolError("the witness is busy", where="busy")
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((_Request(peer, body), future))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush(), name="pockethive-witness")
        return await future

    async def close(self) -> None:
        if self._flusher is not None:
            await self._flusher
        if self._thread is not None:
            self._thread.shutdown()
        self._cells.close()

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                requests = [request for request, _ in batch]
                if self._thread is None:
                    replies = self._decide_all(requests)
                else:
                    loop = asyncio.get_running_loop()
                    replies = await loop.run_in_executor(self._thread, self._decide_all, requests)
                for (_, future), reply in zip(batch, replies, strict=True):
                    if future.done():
                        continue
                    if isinstance(reply, bytes):
                        future.set_result(reply)
                    else:
                        future.set_exception(reply)
        finally:
            self._flusher = None

    def _decide_all(self, requests: list[_Request]) -> list[bytes | Exception]:
        replies: list[bytes | Exception] = []
        try:
            with self._cells.transaction():
                replies.extend(self._decide(request) for request in requests)
        except StorageError as error:  # a full disk, say: nobody was promised anything
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
