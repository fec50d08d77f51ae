"""How often a node did something, and how long it took: counts in fixed buckets.

Guards: bounded, however long a node runs. Belongs to the loop's thread; time is the loop's.
"""

import asyncio
import contextlib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the buckets, seconds; the last bucket has none."""


@dataclass(slots=True)
class Tally:
    """One kind of operation. `buckets` are not cumulative; `failed` ones are in them, too."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0
    failed: int = 0

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Count what happens inside; an exception counts as a failure and goes on."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            yield
        except BaseException:
            self.failed += 1
            raise
        finally:
            took = loop.time() - began
            self.seconds += took
            self.buckets[bisect_left(BOUNDS, took)] += 1
