"""What the ledger knows of one task's vote. Plain state; the decisions are in `ledger_votes`.

A vote outlives leases and committees: what was pledged and opened stays said.
"""

from collections import Counter
from dataclasses import dataclass, field

from pockethive.core.entry import Ballot, Entry
from pockethive.core.message import Opened
from pockethive.core.task import DeviceId, TaskId

MAX_REFUSALS = 8


@dataclass(slots=True)
class Vote:
    """Times are seconds of the lease clock.

    `holders`: who has had the lease. `gone`: who will not vote any more. `on_credit`: the epoch
    whose holder is trusted, so that its answer alone is awaited.
    """

    inputs: tuple[tuple[str, TaskId], ...] | None = None  # the same for everybody, once offered
    asked: dict[DeviceId, float] = field(default_factory=dict)
    models: dict[DeviceId, str] = field(default_factory=dict)  # the class that each works with
    holders: set[DeviceId] = field(default_factory=set)
    gone: set[DeviceId] = field(default_factory=set)
    refused: dict[DeviceId, float] = field(default_factory=dict)  # when it was asked in vain
    refusals: Counter[DeviceId] = field(default_factory=Counter)
    pledges: dict[DeviceId, Entry] = field(default_factory=dict)
    to_open: dict[DeviceId, float] = field(default_factory=dict)  # since when they are asked
    ask_at: float = 0.0  # when those who have not opened, or not signed, are asked again
    openings: dict[DeviceId, Opened] = field(default_factory=dict)  # in the order they came
    caught: set[DeviceId] = field(default_factory=set)  # showed another answer than pledged
    on_credit: int = 0
    counted: Entry | None = None  # the ballot, or the waiver

    @property
    def awaited(self) -> set[DeviceId]:
        """Devices that may still vote and have not."""
        return set(self.asked) - self.openings.keys() - self.gone

    @property
    def sizes(self) -> Counter[str]:
        """How many devices gave each answer."""
        return Counter(opening.output for opening in self.openings.values())

    def refuse(self, device: DeviceId, now: float) -> None:
        """A device has no room, or was not reached: it is asked again later, a few times."""
        if device not in self.awaited or device in self.pledges:
            return
        self.refusals[device] += 1
        if self.refusals[device] >= MAX_REFUSALS or device in self.holders:
            self.gone.add(device)
        else:
            self.refused[device] = now
            del self.asked[device]

    def remind(self, device: DeviceId, now: float, *, begun: bool) -> bool:
        """Whether a slow device is to be asked once more: it may have been restarted. One that
        never began is not asked for ever."""
        self.asked[device] = now
        self.refusals[device] += not begun
        if self.refusals[device] >= MAX_REFUSALS:
            self.gone.add(device)
        return device not in self.gone

    def voters(self, output: str) -> tuple[DeviceId, ...]:
        """Who gave this answer, in the order they came."""
        return tuple(d for d, opening in self.openings.items() if opening.output == output)

    @property
    def won(self) -> tuple[DeviceId, ...]:
        """Once counted: who gave the winning answer."""
        body = None if self.counted is None else self.counted.body
        return self.voters(body.output) if isinstance(body, Ballot) else ()

    @property
    def outvoted(self) -> set[DeviceId]:
        """Who showed what it had not pledged; once counted, who gave another answer, too."""
        return self.caught | (set(self.openings) - set(self.won) if self.won else set())
