"""Coordinator and ledger as they were, from the rows of their journal.

Guards: replaying asks nothing and does nothing. Both machines are deterministic, so the events they
were told, at the times they were told them, make them what they were; the effects are dropped.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pockethive.core.claim import claims_run
from pockethive.core.effects import AskWitness, Effect, FinishRun, Publish, PublishAll, forwarded
from pockethive.core.entry import Entry, Kind
from pockethive.core.errors import ProtocolError
from pockethive.core.events import (
    BudgetSpent,
    CancelRequested,
    CreditsRead,
    EntryArrived,
    Event,
    GoalSubmitted,
    GraphClosed,
    GraphOpened,
    GraphPlanned,
    MembersChanged,
    MessageArrived,
    OwnerAnswered,
    PingAnswered,
    PlanningFailed,
    QuestionShown,
    Restarted,
    RunAdopted,
    RunMoved,
    SendFailed,
    SkillDone,
    SkillFailed,
    TaskEnded,
    TaskRead,
    TaskReopened,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.journal_codec import Next, RowReader
from pockethive.core.lease import Seal
from pockethive.core.message import AskOffer, Made, Opened, Progress
from pockethive.core.report import Outcome
from pockethive.core.task import RunId, TaskId

MACHINES: Final = ("coordinator", "ledger")
"""The machines of a run's owner, by their number in a journal."""

_TOLD: Final[Mapping[str, frozenset[type]]] = {
    "coordinator": frozenset(
        (
            *(GoalSubmitted, GraphPlanned, PlanningFailed, CancelRequested, RunAdopted),
            *(TaskEnded, TaskReopened, BudgetSpent, RunMoved, TimerFired, Restarted),
        )
    ),
    "ledger": frozenset(
        (
            *(GoalSubmitted, CreditsRead, MembersChanged, GraphOpened, GraphClosed, RunAdopted),
            *(WitnessAnswered, PingAnswered, SendFailed, TaskRead, TimerFired, Restarted),
            *(SkillDone, SkillFailed, QuestionShown, OwnerAnswered),
        )
    ),
}
_LETTERS: Final = (Made, Progress, Opened, AskOffer)
_OWN: Final = frozenset(
    (
        *(Kind.TASK, Kind.SEAL, Kind.WAIVER, Kind.RULING, Kind.BALLOT),
        *(Kind.COMMIT, Kind.CLOSE, Kind.INVITE),
    )
)
_BINDING: Final = frozenset((Kind.TASK, Kind.SEAL, Kind.RULING, Kind.BALLOT))

Handle = Callable[[Event, float], tuple[Effect, ...]]


@dataclass(frozen=True, slots=True)
class Step:
    """One row: which machine was told what, and when (lease clock, seconds)."""

    machine: int
    at: float
    row: bytes


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What came of a replay, beside the machines themselves.

    `at`: when the last step was. `outcomes`: of runs that have ended. `pending`: what one machine
    had said to the other and that one had not heard.
    """

    at: float = 0.0
    steps: int = 0
    outcomes: dict[RunId, Outcome] = field(default_factory=dict)
    pending: deque[Event] = field(default_factory=deque)


def replay(
    steps: Iterable[Step],
    machines: Mapping[str, Handle],
    reader: RowReader,
    saw: Callable[[str, Event, float, tuple[Effect, ...]], None] | None = None,
) -> Replayed:
    """Feed new machines what the old ones were told. `saw` is shown every step and its effects.

    Raises:
        BadEncoding: a row is damaged, or does not follow from those before it.
        ProtocolError: an entry inside does not open, or a step that was taken is refused.
    """
    done = Replayed()
    for step in steps:
        told = reader.event(step.row)
        event = _derived(done.pending, told) if isinstance(told, Next) else told
        name = MACHINES[step.machine]
        effects = machines[name](event, step.at)
        done.at, done.steps = max(done.at, step.at), done.steps + 1
        for effect in effects:
            follows = forwarded(effect)
            if follows is not None:
                done.pending.append(follows)
            elif isinstance(effect, FinishRun):
                done.outcomes[effect.outcome.run] = effect.outcome
        if saw is not None:
            saw(name, event, step.at, effects)
    return done


def concerns(machine: str, event: Event) -> bool:
    """Whether an event can change one of the two; whatever else it is fed is not written."""
    if type(event) in _TOLD.get(machine, ()):
        # of a vote, which is the scout's; what it opens with is written nowhere
        return not (isinstance(event, SkillDone) and event.nonce)
    match event:
        case MessageArrived(message=message):
            return machine == "ledger" and isinstance(message, _LETTERS)
        case EntryArrived(entry=entry):
            return machine == "ledger" and (entry.kind in _OWN or _of_claim(entry))
        case _:
            return False


def _of_claim(entry: Entry) -> bool:
    """Of a run's claim its record and who has it are the ledger's, too."""
    return claims_run(getattr(entry.body, "task", TaskId("")))


def binds(effects: Iterable[Effect]) -> bool:
    """Whether what is to be done binds the owner for good, so that it must never be forgotten.

    Who the witnesses of a task are, in the first generation or a later one, is said once, how a
    vote ended, and what the owner himself answered: two answers under one name would be as those of
    a cheat, and no witness would serve the second.
    """
    for each in effects:
        match each:
            case PublishAll() | AskWitness(request=Seal()):
                return True
            case Publish(kind=kind) if kind in _BINDING:
                return True
    return False


def _derived(pending: deque[Event], turn: Next) -> Event:
    """What follows from earlier steps and was not heard yet. What was refused is passed over."""
    while pending:
        event = pending.popleft()
        if (type(event).__name__, getattr(event, "run", None)) == (turn.name, turn.run):
            return event
    raise ProtocolError(f"the journal tells of a {turn.name} that nothing led to", where=turn.run)
