"""Between asyncio and actors, both ways, without blocking either.

Rule guarded here: an event loop never waits for a thread. Answers come to the loop by
`call_soon_threadsafe`; no thread is kept waiting for them.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pockethive.actors.base import Ref, no_answer
from pockethive.core.errors import ActorFailure

_log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_CALLS = 1_000


async def ask_async(ref: Ref, message: object, timeout: float) -> Any:  # noqa: ASYNC109 - the limit is named in the error
    """Ask an actor from a coroutine, at most `timeout` seconds.

    When the coroutine is cancelled or the time is up, an actor that has not begun skips the
    message. Raises what `Ref.ask` raises.
    """
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(arrived.set)
        except RuntimeError:  # the loop was closed: nobody waits any more
            _log.debug("an answer of %s came after its event loop was closed", ref.name)

    reply = ref.request(message)
    reply.when_done(wake)
    try:
        async with asyncio.timeout(timeout):
            await arrived.wait()
    except TimeoutError as error:
        raise no_answer(ref.name, message, timeout) from error
    finally:
        if not arrived.is_set():
            reply.abandon()
    return reply.get(timeout=0)


class LoopBridge:
    """Lets threads hand work to a loop. `hand` may be used on any thread, the rest on the loop.

    What is handed while the loop has not woken up yet shares one wake-up. The loop's owner calls
    `close` before the loop ends.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._handed: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def hand(self, work: Callable[[], None]) -> None:
        """Run `work` on the loop soon, in the order it was handed; never blocks.

        Raises:
            ActorFailure: the loop has ended, or too much was handed and not begun.
        """
        with self._lock:
            if self._closed or self._loop.is_closed():
                raise _ended()
            if len(self._handed) >= MAX_CALLS:
                raise ActorFailure(f"{MAX_CALLS} pieces of work wait for the event loop already")
            self._handed.append(work)
            asleep = len(self._handed) == 1
        if asleep:
            try:
                self._loop.call_soon_threadsafe(self._take)
            except RuntimeError as error:
                raise _ended() from error

    def begin(
        self, work: Coroutine[Any, Any, T], then: Callable[[asyncio.Task[T]], None]
    ) -> asyncio.Task[T]:
        """Let a coroutine run beside the others; `then` gets its task once it has ended.

        Raises:
            ActorFailure: the bridge is closed, or too many coroutines run.
        """
        if self._closed or len(self._tasks) >= MAX_CALLS:
            work.close()
            raise (
                _ended()
                if self._closed
                else ActorFailure(f"{MAX_CALLS} calls on the event loop are open already")
            )
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(then)
        return task

    @property
    def under_way(self) -> int:
        """Pieces of work that have not begun, and coroutines that have not ended. Any thread."""
        with self._lock:
            return len(self._handed) + len(self._tasks)

    def close(self) -> None:
        """Cancel what runs, drop what waits, refuse the rest."""
        with self._lock:
            self._closed = True
            self._handed.clear()
        for task in tuple(self._tasks):
            task.cancel()

    def _take(self) -> None:
        with self._lock:
            handed, self._handed = self._handed, []
        for work in handed:
            try:
                work()
            except Exception:  # noqa: BLE001 - a fault of one piece is no fault of the next
                _log.exception("work for the event loop failed")


def _ended() -> ActorFailure:
    return ActorFailure("the event loop has ended; the work was not done")
