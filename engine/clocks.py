"""The two clocks of a device."""

import time

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


def lease_clock() -> float:
    """Seconds that go on while the machine sleeps and never jump: what leases are counted in."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


def wall_clock() -> float:
    """Unix seconds: what signed expiries are counted in."""
    return time.time()
