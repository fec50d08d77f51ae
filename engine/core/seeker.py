"""The seeker: how an idle device finds work of owners that do not know it.

Guards: one shard is read a turn, however many tasks are open; devices read in orders and at times
of their own; who finds nothing reads ever more rarely. Nothing is claimed: an offer is asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pockethive.core.canonical import digest
from pockethive.core.effects import Effect, ReadShard, SeekOffer, SetTimer
from pockethive.core.events import ShardRead
from pockethive.core.notice import SHARDS, fits
from pockethive.core.polling import jitter
from pockethive.core.task import DeviceId

TIMER = "seek"
FIRST_SECONDS = 5.0  # after the device has begun
LEAST_SECONDS = 2.0  # between two turns
MOST_SECONDS = 300.0
SLOWER = 1.25  # each turn that finds nothing
ASK_AGAIN_SECONDS = 60.0  # a notice that brought no offer
MAX_ASKS = 2  # offers asked for at a turn
MAX_ASKED = 256  # notices remembered

Effects = Iterator[Effect]


@dataclass(frozen=True, slots=True, kw_only=True)
class Able:
    """What the device that seeks can do."""

    device: DeviceId
    skills: frozenset[str]
    has_model: bool


class Seeker:
    """A part of the scout, which tells it when hands are free."""

    def __init__(self, able: Able) -> None:
        self._able = able
        self._turn = 0
        self._pause = LEAST_SECONDS
        self._reading: int | None = None  # the shard whose notices are awaited
        self._asked: dict[str, float] = {}

    def begin(self, now: float) -> SetTimer:
        """The first turn, at a moment of this device's own."""
        return SetTimer(name=TIMER, at=now + FIRST_SECONDS * self._jitter())

    def turn(self, now: float, *, free: bool) -> Effects:
        """Read the next shard, if hands are free; and set the time of the next turn."""
        if free:
            self._reading = self._shard()
            self._turn += 1
            yield ReadShard(shard=self._reading)
        yield SetTimer(name=TIMER, at=now + self._pause * self._jitter())
        if free and self._turn > SHARDS:  # the first round is quick
            self._pause = min(MOST_SECONDS, self._pause * SLOWER)

    def read(self, event: ShardRead, now: float, *, free: int) -> Effects:
        """Ask for offers of what this device could do: for no more than it has free hands."""
        if event.shard != self._reading:
            return
        self._reading = None
        self._forget(now)
        able = self._able
        fit = [
            notice
            for notice in event.notices
            if fits(notice, able.device, able.skills, has_model=able.has_model)
            and notice.key not in self._asked
        ]
        fit.sort(key=lambda notice: digest("seek", able.device.encode(), notice.key.encode()))
        for notice in fit[: min(free, MAX_ASKS, MAX_ASKED - len(self._asked))]:
            self._asked[notice.key] = now
            yield SeekOffer(key=notice.key, owner=notice.owner)
        if fit:
            self._pause = LEAST_SECONDS
            yield SetTimer(name=TIMER, at=now + self._pause * self._jitter())

    def _shard(self) -> int:
        """Every round visits all shards, in another order at every device and in every round."""
        around, place = divmod(self._turn, SHARDS)
        device = self._able.device.encode()
        order = sorted(
            range(SHARDS), key=lambda shard: digest("shards", device, b"%d %d" % (around, shard))
        )
        return order[place]

    def _jitter(self) -> float:
        """From 0.75 to 1.25, by this device and turn."""
        return 0.75 + 0.5 * jitter(self._able.device, self._turn)

    def _forget(self, now: float) -> None:
        limit = now - ASK_AGAIN_SECONDS
        self._asked = {key: at for key, at in self._asked.items() if at > limit}
