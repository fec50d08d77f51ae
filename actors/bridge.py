"""Between asyncio and actors, both ways, without blocking either.

Rule guarded here: an event loop never waits for a thread. Answers come to the loop by
`call_soon_threadsafe`; no thread is kept waiting for them.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import InvalidStateError as Settled
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
    """Runs coroutines on a loop for threads. `call` may be used on any thread.

    The loop's owner calls `close` before the loop ends; calls still open then fail.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._open: set[Future[Any]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def call(self, run: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Future[T]:
        """Run `run(*args)` on the loop; cancelling the future cancels the coroutine.

        The future fails with ActorFailure when the loop is closed or too many calls are open.
        """
        future: Future[T] = Future()
        with self._lock:
            refusal = self._refusal()
            if refusal is None:
                self._open.add(future)
        if refusal is not None:
            future.set_exception(refusal)
            return future
        future.add_done_callback(self._forget)
        try:
            self._loop.call_soon_threadsafe(self._begin, future, run, args)
        except RuntimeError:
            _settle(future, self._ended())
        return future

    def call_then(
        self,
        then: Callable[[Future[T]], None],
        run: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
    ) -> None:
        """As `call`; `then` gets the settled future, such as to tell an actor its result.

        `then` runs on the loop's thread and must not block.
        """
        self.call(run, *args).add_done_callback(then)

    def close(self) -> None:
        """Fail the calls still open and refuse further ones. On the loop, it cancels them too."""
        with self._lock:
            self._closed = True
            left = tuple(self._open)
        for future in left:
            _settle(future, self._ended())

    def _begin(
        self, future: Future[T], run: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...]
    ) -> None:
        if future.done():
            return
        task = self._loop.create_task(run(*args))
        self._tasks.add(task)

        def finished(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                future.cancel()
            elif (error := task.exception()) is not None:
                _settle(future, error)
            else:
                with contextlib.suppress(Settled):  # `close` on another thread was first
                    future.set_result(task.result())

        def given_up(_: Future[T]) -> None:
            if not task.done() and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(task.cancel)

        task.add_done_callback(finished)
        future.add_done_callback(given_up)

    def _refusal(self) -> ActorFailure | None:
        if self._closed or self._loop.is_closed():
            return self._ended()
        if len(self._open) >= MAX_CALLS:
            return ActorFailure(f"{MAX_CALLS} calls to the event loop are open already")
        return None

    def _forget(self, future: Future[Any]) -> None:
        with self._lock:
            self._open.discard(future)

    @staticmethod
    def _ended() -> ActorFailure:
        return ActorFailure("the event loop has ended; the call was not carried out")


def _settle(future: Future[Any], error: BaseException) -> None:
    """Fail a future unless it was settled a moment ago on another thread."""
    with contextlib.suppress(Settled):
        future.set_exception(error)
