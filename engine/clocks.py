"""The two clocks of a device."""

import time
from collections.abc import Callable

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


def lease_clock() -> float:
    """Seconds that go on while the machine sleeps and never jump: what leases are counted in."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


def wall_clock() -> float:
    """Unix seconds: what signed expiries are counted in."""
    return time.time()


class OngoingClock:
    """Another clock, which can be set to go on from where machines were left.

    So it stands while nobody keeps the machines: what they wait for takes longer then, never
    shorter, their time limits count the time in which they were kept, and it makes no difference
    that the clock of a machine that was started anew begins at nought.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._ahead = clock, 0.0

    def __call__(self) -> float:
        return self._clock() + self._ahead

    def go_on_from(self, at: float | None) -> None:
        """Be at `at` now, where there is one. Before anybody has looked at it."""
        if at is not None:
            self._ahead = at - self._clock()
