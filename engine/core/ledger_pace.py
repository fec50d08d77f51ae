"""How many tasks of a run are under way at once: as many as the devices there can soon end.

What is offered before anybody has hands for it is offered to others, too, held by its maker and
given verify slots for no other reason than that it waits in queues. Here it waits at no cost.

Guards: no task is kept back by what takes long. Each counts for its first seconds only, and only
against those that ask the same of a device.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

EACH = 8  # tasks for each device: two are worked on, the others are on their way there or back
LINE_SECONDS = 60.0  # between two looks at a task in line
PACE_SECONDS = 2.0  # after which a task that was offered counts no more, ended or not


@dataclass(slots=True)
class _Lane:
    """Tasks that ask the same of a device, by their places in the graph's order."""

    room: int = 0
    under_way: dict[int, float] = field(default_factory=dict)  # and until when they count; in order
    line: deque[int] = field(default_factory=deque)

    def free(self, now: float) -> int:
        """How many more may be offered now."""
        while self.under_way:
            place, until = next(iter(self.under_way.items()))
            if until > now:
                break
            del self.under_way[place]
        return self.room - len(self.under_way)


class Pace:
    """One run's. `now` is the lease clock, seconds."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, _Lane] = {}
        self._lane_of: dict[int, _Lane] = {}
        self._waiting: set[int] = set()

    def waits(self, place: int) -> bool:
        """Whether a task stands in line."""
        return place in self._waiting

    def look(self, place: int, offer_at: float, now: float) -> float:
        """When a ready task is to be looked at. In line that is when `due` names it; and now and
        then, since what is on the bulletin has to be said again."""
        return now + LINE_SECONDS if self.waits(place) else offer_at

    def admits(self, place: int, needs: Hashable, devices: int, now: float) -> bool:
        """Whether a task may be offered now; else it stands in line from now on.

        `needs`: what it asks of a device; `devices`: how many there are.
        """
        lane = self._lanes.setdefault(needs, _Lane())
        lane.room = EACH * devices
        if place in lane.under_way:
            return True
        self._lane_of[place] = lane
        if lane.free(now) > 0:
            self._waiting.discard(place)
            lane.under_way[place] = now + PACE_SECONDS
            return True
        if place not in self._waiting:
            self._waiting.add(place)
            lane.line.append(place)
        return False

    def ended(self, place: int) -> None:
        """A task came to its end."""
        self._waiting.discard(place)
        lane = self._lane_of.pop(place, None)
        if lane is not None:
            lane.under_way.pop(place, None)

    def due(self, now: float) -> Iterator[int]:
        """Those first in line for whom there is room. They are let in, before who comes now."""
        for lane in self._lanes.values():
            while lane.line and lane.free(now) > 0:
                place = lane.line.popleft()
                if place in self._waiting:  # else it has ended, or was let in before
                    self._waiting.discard(place)
                    lane.under_way[place] = now + PACE_SECONDS
                    yield place
