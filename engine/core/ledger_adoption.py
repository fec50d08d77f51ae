"""A run that is taken over: the ledger learns from the DHT how far each of its tasks came.

Guards: what was committed stays as it is, and is found before anything of it is offered; of a task
that may go on under its witnesses no other is made; a few tasks are looked for at a time.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from pockethive.core.effects import Effect, KeepBlob, ReadTask, TellCoordinator
from pockethive.core.entry import Close, CloseReason, Member, Sealing
from pockethive.core.events import TaskEnded, TaskRead
from pockethive.core.fold import TaskView, fold, generations, of_owner
from pockethive.core.graph import TaskGraph
from pockethive.core.ledger_desk import Desk
from pockethive.core.ledger_opening import TURNS, OpeningDesk
from pockethive.core.ledger_seals import SealDesk
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.lifecycle import Move
from pockethive.core.ports import VerifySignature
from pockethive.core.task import Committee, PlannedTask, RunId, Task, TaskId

AT_ONCE: Final = 24
READ_AGAIN_SECONDS: Final = 1.0
READS: Final = 4  # of a task where nothing is found, before it was never signed
LIVES: Final = 8  # takeovers before this one whose turns of a task are looked for

Effects = Iterator[Effect]


@dataclass(slots=True, kw_only=True)
class _Lookup:
    """One task's: which turn is looked for, how often nothing came, and what its end was."""

    turns: deque[int]
    reads: int = 0
    read_at: float = 0.0
    found: bool = False


@dataclass(slots=True, kw_only=True)
class Adoption:
    """A run that is to be taken over. `wall`: unix time minus lease clock.

    `left`: tasks that were not looked for yet; `busy`: those that are, or that are being sealed.
    """

    graph: TaskGraph
    withheld: frozenset[str]
    wall: float
    opened: bool = False
    left: deque[str] = field(default_factory=deque)
    busy: dict[str, _Lookup] = field(default_factory=dict)


class AdoptionDesk:
    """Changes the states it is given, and `tasks`, which says where each is, and nothing else."""

    def __init__(
        self,
        desks: tuple[Desk, OpeningDesk, SealDesk],
        tasks: dict[TaskId, tuple[RunState, TaskState]],
        again: Callable[[RunState, TaskState, str, float], Effects],
        verify: VerifySignature,
    ) -> None:
        self._desk, self._opener, self._seals = desks
        self._tasks, self._again, self._verify = tasks, again, verify
        self._owner_key = self._opener.owner_key
        self._lookups: dict[TaskId, tuple[RunState, TaskState, _Lookup]] = {}

    def open(
        self, run: tuple[RunId, int], adopts: Adoption, members: Iterable[Member], now: float
    ) -> RunState:
        """The run as if nothing were known of its tasks. `run`: its id, the epoch of its claim."""
        name, epoch = run
        adopts.opened = True
        adopts.left = deque(task.name for task in adopts.graph.tasks)
        nobody = Committee(witnesses=(self._desk.device,), quorum=1)
        states = {}
        for place, planned in enumerate(adopts.graph.tasks):
            task = self._opener.task_of(name, planned, nobody, now + adopts.wall)
            states[planned.name] = TaskState(planned=planned, task=task, place=place, began=now)
        return RunState(
            id=name,
            graph=adopts.graph,
            began=now,
            tasks=states,
            founders=frozenset(member.device for member in members),
            epoch=epoch,
        )

    def tend(self, run: RunState, adopts: Adoption, now: float) -> Effects:
        """Look for the next tasks, and again for those that nothing came of."""
        for name, lookup in list(adopts.busy.items()):
            state = run.tasks[name]
            if lookup.found and not (state.open and self._seals.foreign(state)):
                del adopts.busy[name]
            elif not lookup.found and now >= lookup.read_at:
                lookup.read_at = now + 2 * READ_AGAIN_SECONDS
                yield ReadTask(task=state.id)
        while adopts.left and len(adopts.busy) < AT_ONCE:
            name = adopts.left.popleft()
            state = run.tasks[name]
            if name in adopts.withheld:
                yield from self._withhold(run, state, now)
                continue
            turns = self._turns(run, state.planned)
            adopts.busy[name] = lookup = _Lookup(turns=turns)
            yield from self._look(run, state, lookup, now)

    def read(self, event: TaskRead, now: float) -> Effects:
        """What stands of a task: of one that is looked for, or that another device goes on with."""
        event = TaskRead(task=event.task, entries=of_owner(event.entries, self._owner_key))
        looked = self._lookups.get(event.task)
        if looked is not None and not looked[1].open:
            del self._lookups[event.task]  # the run ended meanwhile
        elif looked is not None:
            yield from self._looked(*looked, event, now)
        if looked is not None:
            return
        run, state = self._tasks.get(event.task, (None, None))
        if run is None or state is None or not run.epoch or not state.open or state.entry is None:
            return
        view = fold(event.entries, self._verify, event.task)
        if view is None or not self._seals.foreign(state) or view.task.owner == self._desk.device:
            return  # what this device has published itself it hears of in its turn
        if view.commit is not None or view.task.committee.generation > _generation(state.task):
            state.sealing = None
            self._take(run, state, view, event, now)

    def restarted(self, adopts: Adoption, now: float) -> None:
        """What was being read is read again at once."""
        for lookup in adopts.busy.values():
            lookup.read_at = now

    def _turns(self, run: RunState, planned: PlannedTask) -> deque[int]:
        """The turns in which this task may stand: of the device that began the run, of others."""
        attempts = self._desk.limits.attempts
        lives = (0, *range(max(2, run.epoch - LIVES), run.epoch))
        return deque(
            turn
            for life in lives
            for turn in range(life * TURNS + 1, life * TURNS + attempts + 1)
            if turn >= planned.turn
        )

    def _look(self, run: RunState, state: TaskState, lookup: _Lookup, now: float) -> Effects:
        """Look for the next turn; where there is none, the work becomes a task of this device."""
        self._lookups.pop(state.id, None)
        if not lookup.turns:
            lookup.found = True
            yield from self._again(run, state, "what there was of it did not go on", now)
            return
        planned = replace(state.planned, turn=lookup.turns.popleft())
        lookup.reads, lookup.read_at = 0, now + 2 * READ_AGAIN_SECONDS
        self._become(run, state, planned, self._opener.renamed(state.task, planned))
        self._lookups[state.id] = (run, state, lookup)
        yield ReadTask(task=state.id)

    def _become(self, run: RunState, state: TaskState, planned: PlannedTask, task: Task) -> None:
        self._tasks.pop(state.id, None)
        state.planned, state.task = planned, task
        self._tasks[state.id] = (run, state)

    def _looked(
        self, run: RunState, state: TaskState, lookup: _Lookup, event: TaskRead, now: float
    ) -> Effects:
        view = fold(event.entries, self._verify, state.id)
        if view is None:
            lookup.reads += 1
            most = READS if state.planned.turn == 1 else READS // 2
            lookup.read_at = now + READ_AGAIN_SECONDS
            if lookup.reads >= most:
                yield from self._look(run, state, lookup, now)
            return
        close = None if view.commit or not view.close else view.close.body
        if isinstance(close, Close) and close.reason is not CloseReason.FAILED:
            yield from self._look(run, state, lookup, now)  # it was given up for another, or for us
            return
        lookup.found = True
        del self._lookups[state.id]
        self._take(run, state, view, event, now)
        yield KeepBlob(data=state.planned.spec(), label=state.planned.label.value)
        if isinstance(close, Close):
            yield from self._failed(run, state, view, close, now)

    def _take(
        self, run: RunState, state: TaskState, view: TaskView, event: TaskRead, now: float
    ) -> None:
        """From now on the state is of the task that stands, in the generation that goes on, or that
        was committed."""
        chain = generations(event.entries, state.id, self._verify)
        last = view.judged if view.commit is not None else view.task
        earlier = [
            e for e in chain if isinstance(e.body, Task) and _generation(e.body) < _generation(last)
        ]
        seals = [
            e
            for e in event.entries
            if isinstance(e.body, Sealing) and e.body.generation < _generation(last)
        ]
        state.heritage = [*earlier, *seals]
        state.entry = next(entry for entry in chain if entry.body == last)
        state.task, state.epoch = last, view.epoch
        state.tell(now, f"it stood in generation {_generation(last)}, kept by {last.owner[:8]}")
        run.agenda.wake(state.place, now)

    def _failed(
        self, run: RunState, state: TaskState, view: TaskView, close: Close, now: float
    ) -> Effects:
        state.reason, state.end = close.detail, view.close
        state.move(Move.FAIL, now, f"it had been closed as failed: {close.detail}")
        run.touched(state, now)
        yield TellCoordinator(event=TaskEnded(run=run.id, report=state.report()))

    def _withhold(self, run: RunState, state: TaskState, now: float) -> Effects:
        reason = "its label keeps it on the device that began the run, which is not here"
        yield from self._desk.close(run, state, Move.LOSE, reason, now)
        run.touched(state, now)


def _generation(task: Task) -> int:
    return task.committee.generation
