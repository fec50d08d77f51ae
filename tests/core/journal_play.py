"""A table whose owner keeps a journal, dies at a given row, and comes back from it."""

from collections.abc import Callable
from typing import Any

from pockethive.core.coordinator import Coordinator
from pockethive.core.effects import Effect, forwarded
from pockethive.core.events import CreditsRead, Event, MembersChanged, Restarted
from pockethive.core.journal_codec import RowReader, RowWriter
from pockethive.core.ledger import Ledger, LedgerSettings
from pockethive.core.replay import MACHINES, Handle, Replayed, Step, binds, concerns, replay
from pockethive.core.table_plan import TablePlan
from pockethive.core.table_seat import seat
from pockethive.core.task import DeviceId
from pockethive.core.testing import WALL, Table
from tests.core.core_play import DEVICES, OWNER_KEY, sign, verify

FIRST_ROWS = 4  # until the goal is written
AWAY_SECONDS = 1.5  # longer than an answer to what was asked before may take


def plan(seed: str, count: int = 4, **changes: Any) -> TablePlan:
    parts: dict[str, Any] = {
        "seed": seed,
        "devices": DEVICES[:count],
        "owner_key": OWNER_KEY,
        "skills": ("search",),
        "checkers": ("quotation",),
    }
    return TablePlan(**{**parts, **changes})


def owners_machines(plan: TablePlan) -> dict[str, Handle]:
    """New ones, as the table makes them."""
    settings = LedgerSettings(
        device=plan.devices[0],
        owner_key=plan.owner_key,
        limits=plan.limits,
        certificate=plan.certificates.get(plan.devices[0], ""),
        secret=plan.secret,
        posts=bool(plan.strangers),
    )
    coordinator = Coordinator(plan.devices[0], plan.limits)
    return dict(zip(MACHINES, (coordinator.handle, Ledger(settings, verify).handle), strict=True))


class JournalTable(Table):
    """To look at: `steps`, `crashes`, `stood` (the commits that stood before each crash).

    `cuts`: after which rows the owner dies. `forgets`: rows that each crash takes along, as when
    the machine loses power.
    """

    def __init__(
        self, plan: TablePlan, cuts: frozenset[int] = frozenset(), forgets: int = 0
    ) -> None:
        super().__init__(plan, sign, verify)
        self.steps: list[Step] = []
        self.cuts, self.crashes, self.forgets = cuts, 0, forgets
        self._left, self._durable = set(cuts), 0
        self.stood: dict[str, tuple[str, str]] = {}  # task -> commit digest and value
        self._writer = RowWriter()
        self._back = 0.0  # when the owner is there again
        self._dying = False
        self.loses = True  # what the last row led to is not carried out any more
        self._wrap()

    @property
    def owner(self) -> DeviceId:
        return self.plan.devices[0]

    def feed(self, device: DeviceId, event: Event, to: str | None = None) -> None:
        super().feed(device, event, to)
        if self._dying and device == self.owner:
            self._crash()

    def _alive(self, device: DeviceId) -> bool:
        away = device == self.owner and self.now < self._back
        return not away and super()._alive(device)

    def _wrap(self) -> None:
        for machine in self._machines[self.owner]:
            if machine.name in MACHINES:
                machine.handle = self._journalled(machine.name, machine.handle)

    def _journalled(self, name: str, handle: Handle) -> Handle:
        def step(event: Event, now: float) -> tuple[Effect, ...]:
            effects = handle(event, now)
            if not concerns(name, event):
                assert effects == ()
                return effects
            self.steps.append(Step(MACHINES.index(name), now, self._writer.row(event)))
            if binds(effects):
                self._durable = len(self.steps)
            if len(self.steps) in self._left:
                self._left.discard(len(self.steps))
                self._dying = True
            if not self._dying or not self.loses:
                return effects
            # what follows at once is written, too; of all that nothing is carried out
            return tuple(effect for effect in effects if forwarded(effect) is not None)

        return step

    def _crash(self) -> None:
        """All that the owner's process knew is gone but its journal and its witness's cells."""
        self._dying, self.crashes = False, self.crashes + 1
        self._back = self.now + AWAY_SECONDS
        self.stood |= commits(self)
        self._timers = {key: n for key, n in self._timers.items() if key[0] != self.owner}
        self._machines[self.owner] = tuple(seat(self.plan, self.owner, self._verify))
        del self.steps[max(FIRST_ROWS, self._durable, len(self.steps) - self.forgets) :]
        back, handles = self.replayed()
        self._writer = RowWriter(tuple(self._known))
        for machine in self._machines[self.owner]:
            if machine.name in MACHINES:
                machine.handle = self._journalled(machine.name, handles[machine.name])
        self._at(self._back, lambda: self._return(back))

    def replayed(
        self, saw: Callable[..., None] | None = None
    ) -> tuple[Replayed, dict[str, Handle]]:
        handles = owners_machines(self.plan)
        return replay(self.steps, handles, RowReader(self.open_entry), saw), handles

    def _return(self, back: Replayed) -> None:
        for event in (MembersChanged(members=tuple(self._known)), *back.pending):
            self.feed(self.owner, event)
        self.feed(self.owner, Restarted(wall=WALL + self.now))
        self.feed(self.owner, CreditsRead(credits=self.plan.credits))
        if back.outcomes and self.outcome is None:
            (self.outcomes[self.owner],) = back.outcomes.values()


def commits(table: Table) -> dict[str, tuple[str, str]]:
    """The commits that stand: who made what at which epoch, by task."""
    found: dict[str, tuple[str, str]] = {}
    for task, entries in table.entries.items():
        for entry in entries.values():
            if entry.kind.value == "commit":
                value = (str(getattr(entry.body, "epoch", "")), getattr(entry.body, "output", ""))
                assert found.setdefault(task, value) == value, f"two commits of {task}"
    return found
