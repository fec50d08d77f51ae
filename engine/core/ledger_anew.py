"""The same work as another task: where nothing can end the first one, or nobody believes it.

Guards: what is planned anew gets another id, so that nothing said of the first can count for it; at
most as often as the run's `attempts`.
"""

from collections.abc import Iterator, MutableMapping, Sequence

from pockethive.core.effects import Effect, TellCoordinator
from pockethive.core.entry import Member
from pockethive.core.events import TaskReopened
from pockethive.core.ledger_opening import TURNS, OpeningDesk
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.ledger_work import WorkDesk
from pockethive.core.lifecycle import Move
from pockethive.core.task import DeviceId, TaskId
from pockethive.core.watch import Watch

Effects = Iterator[Effect]


class AnewDesk:
    """Changes the states it is given, and notes the new ones in `tasks`, the ledger's index."""

    def __init__(
        self,
        work: WorkDesk,
        opener: OpeningDesk,
        watch: Watch,
        tasks: MutableMapping[TaskId, tuple[RunState, TaskState]],
    ) -> None:
        self._desk, self._opener, self._watch, self._tasks = work.desk, opener, watch, tasks
        self._members: tuple[Member, ...] = ()

    def meet(self, members: Sequence[Member]) -> None:
        """The devices of the hive have changed."""
        self._members = tuple(members)

    def hopeless(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Nothing can end this task any more: the same work becomes another one."""
        if state.planned.turn - run.epoch * TURNS >= self._desk.limits.attempts:
            yield from self._desk.close(run, state, Move.LOSE, state.hopeless, now)
            return
        yield from self._desk.retire(state, Move.LOSE, state.hopeless, now)
        yield from self.again(run, state, state.hopeless, now)

    def distrusted(self, run: RunState, state: TaskState, device: DeviceId, now: float) -> Effects:
        """A device was caught that had made this on credit, or what this was made of."""
        reason = f"device {device[:8]} was caught with a wrong output"
        yield TellCoordinator(event=TaskReopened(run=run.id, task=state.task.name))
        yield self._desk.happened(run, state, "reopened", device, reason)
        if state.open:
            yield from self._desk.retire(state, Move.CANCEL, reason, now)
        if state.waiver is not None:
            state.blamed.append(device)
        yield from self.again(run, state, reason, now)

    def again(self, run: RunState, state: TaskState, reason: str, now: float) -> Effects:
        """The same work becomes another task, with witnesses that live."""
        present = [m for m in self._members if m.device not in self._watch.lost]
        made, effects = self._opener.again(run, state, (present, self._watch.unsteady(now)), now)
        self._tasks[made.id] = (run, made)
        yield self._desk.happened(run, made, "replanned", None, reason)
        yield from effects
        run.touched(made, now)
