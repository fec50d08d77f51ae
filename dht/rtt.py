"""How long to wait for a peer: smoothed round-trip times (RFC 6298), bounded."""

from collections import OrderedDict
from typing import Final

FIRST: Final = 0.75  # seconds, before anybody was timed
SHORTEST: Final = 0.3  # a device busy with its model answers late now and then
LONGEST: Final = 2.0
_PEERS: Final = 4096


class RoundTrips:
    """Per peer, and over all of them: smoothed time and its variance, seconds."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        self._overall: tuple[float, float] | None = None

    def sample(self, public: bytes, seconds: float) -> None:
        self._known[public] = _smooth(self._known.get(public), seconds)
        self._overall = _smooth(self._overall, seconds)
        if len(self._known) > _PEERS:
            self._known.popitem(last=False)

    def timeout(self, public: bytes) -> float:
        """Seconds until a request is sent again. A peer never timed is taken for an average one."""
        known = self._known.get(public) or self._overall
        if known is None:
            return FIRST
        return min(LONGEST, max(SHORTEST, known[0] + 4 * known[1]))


def _smooth(known: tuple[float, float] | None, seconds: float) -> tuple[float, float]:
    if known is None:
        return seconds, seconds / 2
    smoothed, variance = known
    variance += (abs(seconds - smoothed) - variance) / 4
    return smoothed + (seconds - smoothed) / 8, variance
