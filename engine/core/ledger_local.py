"""The ledger's way with a task that concerns no other device: worked on here, signed afterwards.

Guards: nothing is kept from anybody who could have part in a task. Each is looked at anew when it
begins; what has not begun goes the ordinary way as soon as another device could take it. What a
witness must never allow, two commits, one acceptor's own book cannot hold: after a commit nothing
else is taken.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pockethive.core.effects import (
    Effect,
    Publish,
    PublishAll,
    StopSkill,
    TellCoordinator,
    WorkHere,
)
from pockethive.core.entry import Body, Commit, Entry, Member, Output
from pockethive.core.entry_codec import kind_of
from pockethive.core.events import SkillDone, SkillFailed, TaskEnded
from pockethive.core.labels import Label
from pockethive.core.ledger_budget import exceeded
from pockethive.core.ledger_desk import PUBLISH_AGAIN_SECONDS
from pockethive.core.ledger_opening import LedgerSettings, OpeningDesk
from pockethive.core.ledger_state import Local, RunState, TaskState
from pockethive.core.ledger_work import WorkDesk
from pockethive.core.lifecycle import Move, Status
from pockethive.core.task import Committee, DeviceId, PlannedTask, RunId, Task
from pockethive.core.watch import Watch

AT_ONCE = 32  # orders with the agents; the others wait in the ledger

Effects = Iterator[Effect]


@dataclass(slots=True)
class _Queue:
    """Tasks of one run that are ready, and how many its agents have."""

    ready: deque[TaskState] = field(default_factory=deque)
    at_work: int = 0


class LocalDesk:
    """Changes the states it is given and nothing else."""

    def __init__(
        self, work: WorkDesk, opener: OpeningDesk, settings: LedgerSettings, watch: Watch
    ) -> None:
        self._work, self._opener, self._watch = work, opener, watch
        self._device, self._skills = settings.device, settings.skills
        opener.keeps = self.keeps
        self._queues: dict[RunId, _Queue] = {}
        self._able: dict[tuple[str, bool], frozenset[DeviceId]] = {}
        self._members: tuple[Member, ...] = ()

    def meet(self, members: Sequence[Member]) -> None:
        """The devices of the hive have changed."""
        self._members = tuple(members)
        self._able.clear()

    def keeps(self, planned: PlannedTask, committee: Committee) -> bool:
        """Whether no other device has or could have part in a task with these witnesses."""
        if committee.witnesses != (self._device,) or planned.label is not Label.DEVICE:
            return False
        if planned.skill not in self._skills or planned.place not in (None, self._device):
            return False
        return self._alone(planned)

    def tend(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Bring a task on its way, here as long as it concerns no other device."""
        if state.status is Status.WAITING:
            yield from self._work.unlock(run, state, now)
        if state.status not in (Status.WAITING, Status.READY):
            return
        if not self.keeps(state.planned, state.task.committee):
            present = [m for m in self._members if m.device not in self._watch.lost]
            yield from self._opener.share(state, present, now)
        elif state.status is Status.READY and now >= state.offer_at:
            self._ready(run, state)

    def orders(self, run: RunState, now: float) -> Effects:
        """Order what the agents have room for."""
        queue = self._queues.get(run.id)
        limits = self._work.desk.limits
        while queue is not None and queue.ready and queue.at_work < AT_ONCE:
            if exceeded(limits, run.cost):
                return
            state = queue.ready.popleft()
            if state.local is None:  # it went the ordinary way meanwhile
                continue
            state.local.queued = False
            if state.status is Status.READY:
                queue.at_work += 1
                yield from self._order(run, state, now)

    def awaits(self, state: TaskState, epoch: int) -> bool:
        """Whether an agent of this device works on a task at this epoch."""
        return state.local is not None and state.status is Status.CLAIMED and state.epoch == epoch

    def worked(
        self, run: RunState, state: TaskState, event: SkillDone | SkillFailed, now: float
    ) -> Effects:
        """The agent has ended what is awaited: a commit, or one attempt less."""
        self._queues[run.id].at_work -= 1
        if isinstance(event, SkillDone):
            yield from self._done(run, state, event, now)
        else:
            state.holder = None  # nobody to be told, nobody to be blamed
            yield from self._work.retry(run, state, event.reason, now)
        run.touched(state, now)

    def _done(self, run: RunState, state: TaskState, event: SkillDone, now: float) -> Effects:
        """It is committed: the only acceptor has it."""
        local, task = state.local, state.task
        assert local is not None
        state.move(Move.PROPOSE, now, f"made here at epoch {event.epoch}")
        local.made = Output(
            task=task.id,
            epoch=event.epoch,
            output=event.output,
            size=event.size,
            model=event.model,
            inputs=local.inputs,
            tokens=event.tokens,
        )
        run.cost.tokens += event.tokens
        state.move(Move.COMMIT, now, "committed: this device is its only witness")
        local.said = (
            task,
            local.made,
            Commit(
                task=task.id,
                generation=task.committee.generation,
                epoch=event.epoch,
                output=event.output,
                acks=(),
            ),
        )
        for what in ("made", "committed"):
            yield self._work.desk.happened(run, state, what, self._device, "")
        yield TellCoordinator(event=TaskEnded(run=run.id, report=state.report()))

    def stop(self, run: RunState, state: TaskState) -> Effects:
        """Nobody wants what the agent is working on."""
        if self.awaits(state, state.epoch):
            self._queues[run.id].at_work -= 1
            yield StopSkill(task=state.id, epoch=state.epoch)

    def forget(self, run: RunState) -> None:
        """A run has ended for good."""
        self._queues.pop(run.id, None)

    def offer(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Offer an ordinary task, once what was done here and it is to read stands in the DHT."""
        unseen = [
            source
            for source in map(run.tasks.__getitem__, state.planned.sources)
            if source.local is not None and source.end is None and source.status is Status.COMMITTED
        ]
        if not unseen:
            yield from self._work.offer(run, state, self._members, now)
        for source in unseen:
            if now >= source.publish_at and source.local is not None:
                source.publish_at = now + PUBLISH_AGAIN_SECONDS
                yield PublishAll(entries=published(source.task, source.local.said))

    def stored(self, run: RunState, state: TaskState, entry: Entry) -> bool:
        """Whether what stands in the DHT is the end of a task that was done here."""
        local = state.local
        if local is None or not local.said or entry.body != local.said[-1]:
            return False
        state.end = entry
        run.agenda.mark_readers(state.place)
        return True

    def _order(self, run: RunState, state: TaskState, now: float) -> Effects:
        local = state.local
        assert local is not None
        state.epoch += 1
        state.claims += 1
        run.cost.begun += 1
        state.holder = self._device
        state.move(Move.CLAIM, now, f"claimed by this device alone at epoch {state.epoch}")
        local.inputs = tuple(
            (name, run.tasks[name].sha)
            for name in state.planned.sources
            if run.tasks[name].status is Status.COMMITTED
        )
        yield self._work.desk.happened(run, state, "claimed", self._device, "")
        yield WorkHere(task=state.id, epoch=state.epoch, planned=state.planned, inputs=local.inputs)

    def _ready(self, run: RunState, state: TaskState) -> None:
        """The agents get a task when they have room for it."""
        assert state.local is not None
        if not state.local.queued:
            state.local.queued = True
            self._queues.setdefault(run.id, _Queue()).ready.append(state)

    def _alone(self, planned: PlannedTask) -> bool:
        """Whether this device could do it and, unless it must be here, no other member could."""
        key = (planned.skill, planned.needs_model)
        able = self._able.get(key)
        if able is None:
            able = self._able[key] = frozenset(
                member.device
                for member in self._members
                if member.works
                and planned.skill in member.skills
                and (member.model or not planned.needs_model)
            )
        return self._device in able and (planned.place is not None or len(able) == 1)


def order(state: TaskState, local: Local) -> WorkHere:
    """What the agent is told of a task that it has, or had when this device stopped."""
    return WorkHere(task=state.id, epoch=state.epoch, planned=state.planned, inputs=local.inputs)


def published(task: Task, said: Iterable[Body]) -> tuple[Publish, ...]:
    """The entries of a task that was done here, in the order in which they came to be."""
    return tuple(Publish(kind=kind_of(body), body=body, expires=task.expires) for body in said)
