"""Which tasks of a run are to be looked at, and when: by their place in the graph's order.

Guards: a task is looked at only when its own state, its inputs or its time changed, and always in
the graph's order, so that what one task's end means for the next is seen in the same round.
"""

import heapq
from collections.abc import Iterator, Sequence
from math import inf

from pockethive.core.graph import Outcome, TaskGraph
from pockethive.core.ledger_pace import Pace
from pockethive.core.task import EdgeKind


class Agenda:
    """One run's. Looking at a task once too often costs time and changes nothing."""

    def __init__(self, graph: TaskGraph) -> None:
        places = {task.name: place for place, task in enumerate(graph.tasks)}
        readers: list[list[int]] = [[] for _ in graph.tasks]
        for place, task in enumerate(graph.tasks):
            for source in task.sources:
                readers[places[source]].append(place)
        self._readers: Sequence[Sequence[int]] = readers
        self._told = [Outcome.OPEN] * len(graph.tasks)
        self._missing = [len(task.sources) for task in graph.tasks]  # that are not committed
        self._all = [all(e.kind is EdgeKind.ALL for e in task.after) for task in graph.tasks]
        self._due: set[int] = set(range(len(graph.tasks)))
        self._wakes: list[tuple[float, int]] = []  # a heap; what `_wake_at` does not say is void
        self._wake_at: dict[int, float] = {}
        self.pace = Pace()

    def pass_over(self, place: int) -> None:
        """Do not look at a task in the next round, unless it is marked again."""
        self._due.discard(place)

    def mark(self, place: int) -> None:
        """Look at a task in the next round, or in this one if its turn is yet to come."""
        self._due.add(place)

    def mark_all(self) -> None:
        """Something changed that may concern every task."""
        self._due.update(range(len(self._readers)))

    def mark_readers(self, place: int) -> None:
        """What a task is to its readers has changed: whoever waits for it."""
        self._due.update(self._readers[place])

    def told(self, place: int, outcome: Outcome) -> None:
        """What a task is to its readers now. If it has changed, those are marked for whom it may
        make a difference: of a commit, who waits for all it needs is told when it is the last."""
        before = self._told[place]
        if outcome is before:
            return
        self._told[place] = outcome
        if outcome is not Outcome.OPEN:
            self.pace.ended(place)
        change = (before is Outcome.COMMITTED) - (outcome is Outcome.COMMITTED)
        for reader in self._readers[place]:
            self._missing[reader] += change
            if change >= 0 or not self._missing[reader] or not self._all[reader]:
                self._due.add(reader)

    def wake(self, place: int, at: float) -> None:
        """Look at a task in the first round at or after `at`; infinity: not for the time's sake."""
        if at == inf:
            self._wake_at.pop(place, None)
        elif self._wake_at.get(place) != at:
            self._wake_at[place] = at
            heapq.heappush(self._wakes, (at, place))

    def round(self, now: float) -> Iterator[int]:
        """The tasks to look at now. What is marked meanwhile is taken along if it comes later."""
        while self._wakes and self._wakes[0][0] <= now:
            at, place = heapq.heappop(self._wakes)
            if self._wake_at.get(place) == at:
                del self._wake_at[place]
                self._due.add(place)
        self._due.update(self.pace.due(now))
        turns = sorted(self._due)
        self._due.clear()
        last = -1
        while turns:
            place = heapq.heappop(turns)
            if place == last:
                continue
            last = place
            yield place
            for other in [other for other in self._due if other > place]:
                self._due.discard(other)
                heapq.heappush(turns, other)
