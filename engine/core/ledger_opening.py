"""The ledger's way from a plan to an open run: who answers is named as a witness.

Guards: a device that is gone already is no witness of a run, however fresh its advertisement; and
nobody waits for others who is alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from pockethive.core.effects import CancelTimer, Effect, KeepBlob, Ping, SetTimer
from pockethive.core.entry import Kind, Member
from pockethive.core.events import GraphOpened
from pockethive.core.lease import MAX_LEASE_SECONDS
from pockethive.core.ledger_desk import Desk
from pockethive.core.ledger_state import Local, RunState, TaskState
from pockethive.core.rendezvous import choose_committee, witness_candidates
from pockethive.core.spec import Limits
from pockethive.core.task import Committee, DeviceId, EdgeKind, PlannedTask, RunId, Task, task_id

TURNS = 100  # turns of one life of a run; one that was taken over has turns of its own
ANSWER_SECONDS = 1.0  # how long a run waits for candidates that do not answer

Effects = Iterator[Effect]
Keeps = Callable[[PlannedTask, Committee], bool]
"""Whether a task concerns this device alone: it is not signed and published before its end."""


def turn_after(turn: int, epoch: int) -> int:
    """The next turn of a task in a run that is kept at `epoch` of its claim; 0: where it began.

    No two devices that kept a run one after another ever make one task of one turn.
    """
    return max(turn, epoch * TURNS) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """Whose runs these are. `margin_seconds`: how long entries outlive the run's time limit.

    `secret`: of the owner, from which spot checks are drawn; empty: nothing is taken on credit.
    `certificate`: the owner's over this device. With it his other devices may go on with its runs,
    and this one with theirs; empty: nobody ever does.
    `posts`: what nobody known takes is announced on the hive's bulletin.
    `skills`: of this device's agents; what concerns no other device is ordered from them.
    """

    device: DeviceId
    owner_key: str
    limits: Limits
    margin_seconds: int = 86_400
    secret: bytes = field(default=b"", repr=False)
    certificate: str = ""
    posts: bool = False
    skills: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class Opening:
    """A run whose witnesses are being looked for. `silent`: candidates yet to answer."""

    event: GraphOpened
    silent: set[DeviceId]
    alive: set[DeviceId] = field(default_factory=set)

    @property
    def timer(self) -> str:
        """The name of its timer."""
        return f"opening:{self.event.run}"

    def answered(self, device: DeviceId, *, alive: bool) -> None:
        """A candidate's answer, or that it gave none."""
        if device in self.silent:
            self.silent.discard(device)
            if alive:
                self.alive.add(device)


class OpeningDesk:
    """Opens runs. Knows no run but those it is handed."""

    def __init__(self, settings: LedgerSettings, desk: Desk) -> None:
        self._settings, self._desk = settings, desk
        self.owner_key = settings.owner_key
        self.keeps: Keeps = lambda _planned, _committee: False

    def begin(
        self, event: GraphOpened, members: Iterable[Member], now: float
    ) -> tuple[Opening, tuple[Effect, ...]]:
        """Ask the candidates for an answer; none is asked where none will be named."""
        own = self._settings
        asked = witness_candidates(members, own.device, own.owner_key)
        opening = Opening(event=event, silent=set(asked))
        if not asked:
            return opening, ()
        timer = SetTimer(name=opening.timer, at=now + ANSWER_SECONDS)
        return opening, (*(Ping(device=device) for device in asked), timer)

    def ask_again(self, opening: Opening, now: float) -> Effects:
        """After a restart: whoever has not answered may never have been asked."""
        yield from (Ping(device=device) for device in sorted(opening.silent))
        yield SetTimer(name=opening.timer, at=now + ANSWER_SECONDS)

    def decided(self, opening: Opening, members: Sequence[Member]) -> bool:
        """Whether it does not matter any more what the silent ones answer."""
        hoped = self.committee(members, opening.alive | opening.silent)
        return opening.silent.isdisjoint(hoped.witnesses)

    def committee(self, members: Iterable[Member], alive: set[DeviceId]) -> Committee:
        """The witnesses of a run that is opened now."""
        own = self._settings
        present = [member for member in members if member.device in alive]
        return choose_committee(present, own.device, own.owner_key)

    def open(
        self, opening: Opening, members: Sequence[Member], wall: float, now: float
    ) -> tuple[RunState, tuple[Effect, ...]]:
        """The run with its tasks to be published. `wall`: unix time minus lease clock, seconds."""
        event = opening.event
        committee = self.committee(members, opening.alive)
        states: dict[str, TaskState] = {}
        effects: list[Effect] = []
        if opening.silent:  # it is opened before its time is up
            effects.append(CancelTimer(name=opening.timer))
        began = int(now + wall)  # one object for all
        for place, planned in enumerate(event.graph.tasks):
            here = self.keeps(planned, committee)
            task = self._task(event.run, planned, committee, began, here=here)
            state = TaskState(planned=planned, task=task, place=place, began=now)
            states[planned.name] = state
            if here:
                state.local = Local()
                continue
            effects.append(KeepBlob(data=planned.spec(), label=planned.label.value))
            effects.extend(self._desk.publish(state, Kind.TASK, task, now))
        run = RunState(
            id=event.run,
            graph=event.graph,
            began=now,
            tasks=states,
            founders=frozenset(member.device for member in members),
        )
        for state in states.values():
            if state.local is not None and _waits(state.planned):
                run.agenda.pass_over(state.place)
        return run, tuple(effects)

    def again(
        self,
        run: RunState,
        state: TaskState,
        among: tuple[Iterable[Member], frozenset[DeviceId]],
        now: float,
    ) -> tuple[TaskState, tuple[Effect, ...]]:
        """The same work as a new task with witnesses `among` members, some unsteady.

        What was taken on credit once is verified the next time.
        """
        own, old = self._settings, state.task
        how = state.planned.verification
        planned = replace(
            state.planned,
            turn=turn_after(state.planned.turn, run.epoch),
            verification=replace(how, adaptive=how.adaptive and state.waiver is None),
        )
        members, unsteady = among
        committee = choose_committee(members, own.device, own.owner_key, unsteady)
        task = replace(
            self._task(old.run, planned, committee, 0.0), began=old.began, expires=old.expires
        )
        made = TaskState(planned=planned, task=task, place=state.place, began=state.began)
        made.story, made.claims, made.failures = state.story, state.claims, state.failures
        made.failed, made.returns = list(state.failed), state.returns
        made.blamed, made.question.remarks = list(state.blamed), state.question.remarks
        made.tell(now, f"planned anew, for the {planned.turn}. time")
        kept = KeepBlob(data=planned.spec(), label=planned.label.value)
        run.tasks[planned.name] = made
        run.retired.append(state)
        return made, (kept, *self._desk.publish(made, Kind.TASK, task, now))

    def share(self, state: TaskState, members: Iterable[Member], now: float) -> Iterator[Effect]:
        """A task that concerned this device alone, and has not begun, becomes one like others.

        Epochs go on above those of attempts that were made here.
        """
        own = self._settings
        committee = choose_committee(members, own.device, own.owner_key)
        committee = replace(committee, epoch_base=state.epoch)
        state.task = replace(state.task, place=state.planned.place, committee=committee)
        state.local = None
        state.tell(now, "offered to others, too: it does not concern this device alone any more")
        yield KeepBlob(data=state.planned.spec(), label=state.planned.label.value)
        yield from self._desk.publish(state, Kind.TASK, state.task, now)

    def task_of(self, run: RunId, planned: PlannedTask, committee: Committee, wall: float) -> Task:
        """A task of this device that nobody has seen yet. `wall`: unix seconds."""
        return self._task(run, planned, committee, wall)

    def renamed(self, task: Task, planned: PlannedTask) -> Task:
        """The same of another turn of its work."""
        spec = planned.spec_sha()
        return replace(task, spec=spec, id=task_id(task.run, task.name, spec))

    def _task(
        self,
        run: RunId,
        planned: PlannedTask,
        committee: Committee,
        wall: float,
        *,
        here: bool = False,
    ) -> Task:
        settings = self._settings
        spec = planned.spec_sha()
        return Task(
            id=task_id(run, planned.name, spec),
            run=run,
            name=planned.name,
            role=planned.role,
            skill=planned.skill,
            spec=spec,
            after=planned.after,
            place=settings.device if here else planned.place,
            label=planned.label,
            verification=planned.verification,
            needs_model=planned.needs_model,
            committee=committee,
            owner=settings.device,
            owner_key=settings.owner_key,
            certificate=settings.certificate if len(committee.witnesses) > 1 else "",
            began=int(wall),
            lease_seconds=min(settings.limits.lease_seconds, MAX_LEASE_SECONDS),
            expires=int(wall) + settings.limits.timeout_seconds + settings.margin_seconds,
        )


def _waits(planned: PlannedTask) -> bool:
    """Whether a task waits for another's end and for no time, so that the end will mark it."""
    edges = planned.after
    return bool(edges) and all(edge.kind is not EdgeKind.ARRIVED_BY for edge in edges)
