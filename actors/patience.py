"""Asking the network again: what fails for want of an answer is tried twice more, a little later.

Guards: retries are few and spread by chance, so that devices that failed together do not return
together.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from pockethive.core.errors import NetworkError

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Patience:
    """One device's. `seed` is of the node's own chance, so that a simulation repeats its pauses."""

    def __init__(self, seed: bytes) -> None:
        self._random = random.Random(seed)  # noqa: S311 - jitter, no secret

    async def retried(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `call` gives, asked twice again before giving up. Raises as `call` does."""
        try:
            return await call()
        except NetworkError as error:
            _log.debug("asked again, because: %s", error)
        await asyncio.sleep(self._pause(1))
        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(2),
            wait=lambda state: self._pause(state.attempt_number + 1),
            retry=retry_if_exception_type(NetworkError),
            reraise=True,
        ):
            with attempt:
                return await call()
        raise AssertionError("tenacity re-raises the last error")

    def _pause(self, failures: int) -> float:
        """Exponential with full jitter, in seconds."""
        return self._random.uniform(0, 0.1 * 2 ** (failures - 1))
