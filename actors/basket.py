"""What agents made of tasks that concern this device alone, on its way to the machines.

Guards: an output is on the shelf before a machine hears of it. Nothing waits for company: the first
output has the basket fetched, and whoever fetches it finds what has come meanwhile, which is kept
in one transaction.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pockethive.actors.orders import failed
from pockethive.actors.shelf import Shelf
from pockethive.core.effects import WorkHere
from pockethive.core.errors import PocketHiveError
from pockethive.core.events import Event

Fetch = Callable[[], list[Event]]
"""Empties the basket. On the thread that drives the machines."""


@dataclass(frozen=True, slots=True)
class Small:
    """A small output, and what it cost: tokens of a model."""

    order: WorkHere
    data: bytes
    tokens: int


class Basket:
    """`add` on any thread. `have_fetched` hands `fetch` to the machines' driver, or makes one of a
    thread that is idle; when it says that nobody will come, what is in the basket is lost.

    `told`: the event of an output that is kept under this name.
    """

    def __init__(
        self,
        shelf: Shelf,
        have_fetched: Callable[[Fetch, bool], bool],
        told: Callable[[Small, str], Event],
    ) -> None:
        self._shelf, self._have_fetched, self._told = shelf, have_fetched, told
        self._lock = threading.Lock()
        self._held: list[Small] = []

    def add(self, made: Small, *, idle: bool = False) -> None:
        """Have an output kept and told of. `idle`: the calling thread has nothing else to do."""
        with self._lock:
            self._held.append(made)
            first = len(self._held) == 1
        if first and not self._have_fetched(self.fetch, idle):
            with self._lock:
                self._held.clear()

    def fetch(self) -> list[Event]:
        """Keep what is in the basket; what the machines are to be told of it."""
        with self._lock:
            held, self._held = self._held, []
        try:
            names = self._keep(held)
        except PocketHiveError:  # no room for all of it: there may be for some
            return [event for made in held for event in self._alone(made)]
        return [self._told(made, name) for made, name in zip(held, names, strict=True)]

    def _keep(self, held: Sequence[Small]) -> list[str]:
        return self._shelf.keep_small([(made.data, made.order.planned.label) for made in held])

    def _alone(self, made: Small) -> list[Event]:
        try:
            return [self._told(made, name) for name in self._keep([made])]
        except PocketHiveError as error:
            return [failed(made.order, str(error))]
