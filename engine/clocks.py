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
    """Another clock, set so that it goes on from where machines were left. It never goes back.

    It stands while nobody keeps the machines: whatever they wait for then takes longer, never
    shorter, and a machine that was started anew, whose clock begins at nought, makes no difference.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._ahead = clock, 0.0

    def __call__(self) -> float:
        return self._clock() + self._ahead

    def go_on_from(self, at: float) -> None:
        """Be at `at` now, or later if it is already."""
        self._ahead += max(0.0, at - self())
