"""The journal of a simulated device: nothing is written, every step is shown.

Rule guarded here: whoever watches sees a step after the machine took it, and changes nothing of it.
"""

from collections.abc import Callable

from pockethive.core.effects import Effect
from pockethive.core.events import Event

Saw = Callable[[str, Event, float, tuple[Effect, ...]], None]
"""Is shown (machine, event, time, effects) of a step."""


class WatchedJournal:
    """What a journal is to real devices, for one that cannot be resumed."""

    def __init__(self, saw: Saw) -> None:
        self.saw = saw

    def begin(self, _machines: object, _open_entry: object) -> float:
        """Nothing is left of an earlier life."""
        return 0.0

    def write(self) -> None:
        """There is nothing to write to."""
