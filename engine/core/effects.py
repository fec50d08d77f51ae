"""What machines want done. The interpreter does it and reports back with events.

Effects are imperative and carry everything needed; none is answered by a return value.
"""

from dataclasses import dataclass

from pockethive.core.credibility import Seen
from pockethive.core.entry import Body, Entry, Kind, Notice
from pockethive.core.events import (
    BudgetSpent,
    Event,
    GraphClosed,
    GraphOpened,
    RunMoved,
    TaskEnded,
    TaskReopened,
)
from pockethive.core.graph import TaskGraph
from pockethive.core.lease import WitnessRequest
from pockethive.core.message import Message
from pockethive.core.report import Happening, Outcome
from pockethive.core.task import DeviceId, PlannedTask, RunId, Task, TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanGoal:
    """Have a planner make the graph. Answered by GraphPlanned or PlanningFailed."""

    run: RunId
    goal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGraph:
    """Coordinator to ledger: open these tasks."""

    run: RunId
    graph: TaskGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseGraph:
    """Coordinator to ledger: close what is open. `cancelled` or the time limit."""

    run: RunId
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TellCoordinator:
    """Ledger to coordinator: a task has ended or is to be done anew, nothing more is begun, or the
    run is kept elsewhere."""

    event: TaskEnded | TaskReopened | BudgetSpent | RunMoved


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRun:
    """Let the owner's other devices see that a run is open, until it has ended here."""

    claim: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishRun:
    """Hand the outcome to the caller."""

    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepBlob:
    """Keep bytes under their SHA-256 and serve them to whom `label` allows."""

    data: bytes
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Sign an entry and put it in the DHT. Answered by EntryArrived on this device.

    `beside`: what others signed about the same task and is brought along, such as the output and
    the verdicts of a commit: their makers need not search for its holders, too.
    """

    kind: Kind
    body: Body
    expires: int  # unix seconds
    beside: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spare:
    """The task's owner has brought along what this device signed about an output: it need not put
    it into the DHT itself, if it has not yet."""

    task: TaskId
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignEntry:
    """Sign an entry that is shown to whom it concerns and not published.

    Answered by EntryArrived on this device.
    """

    kind: Kind
    body: Body
    expires: int  # unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTask:
    """Read all entries of a task. Answered by TaskRead.

    `here`: a commit that this device holds itself is enough, with what it holds beside it.
    """

    task: TaskId
    here: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AskWitness:
    """Ask one witness. Answered by WitnessAnswered with the same `ask`."""

    ask: str  # names this question; unique in the machine that asks
    witness: DeviceId
    request: WitnessRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Tell a device something. Undelivered ends as SendFailed."""

    to: DeviceId
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """See whether a device lives. Answered by PingAnswered."""

    device: DeviceId


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTimer:
    """Raise TimerFired(name) at `at` (lease clock, seconds). A second one replaces the first."""

    name: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTimer:
    """Forget a timer."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSkill:
    """Fetch the spec and the inputs, let the role's agent work, keep the output.

    `inputs` are (source name, output hash, devices that hold the blob); `remarks`: the blob that
    says why earlier outputs were rejected, hex, or empty. Answered by SkillDone or SkillFailed.
    """

    task: Task
    epoch: int
    inputs: tuple[tuple[str, str, tuple[DeviceId, ...]], ...]
    remarks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkHere:
    """Let this device's own agent work on a task that no other device has part in.

    `inputs` are (source name, output hash), all on this device. Answered by SkillDone or
    SkillFailed, to the ledger alone.
    """

    task: TaskId
    epoch: int
    planned: PlannedTask
    inputs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishAll:
    """Sign entries as one batch and put them in the DHT. Answered by EntryArrived for each."""

    entries: tuple[Publish, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReplica:
    """As RunSkill, for a vote and without a lease. Answered by ReplicaDone or ReplicaFailed."""

    task: Task
    inputs: tuple[tuple[str, str, tuple[DeviceId, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBlob:
    """What was kept sealed until a vote was counted may be fetched from now on."""

    output: str  # SHA-256 of the blob, hex


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSkill:
    """Stop working on a task: its lease is gone or its run has ended."""

    task: TaskId
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChecks:
    """Fetch spec, inputs and the output, and let the verifier's checkers judge.

    Answered by ChecksDone or ChecksFailed.
    """

    task: Task
    output: Entry
    inputs: tuple[tuple[str, str, tuple[DeviceId, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOwner:
    """Fetch an output, keep it, and let the owner see it until CloseQuestion.

    Answered by QuestionShown; by OwnerAnswered when he says what he thinks.
    """

    task: Task
    planned: PlannedTask
    output: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseQuestion:
    """The owner is asked no more about an output. `how`: accepted or rejected, as he has said, or
    over, because nobody needs his word any more."""

    task: TaskId
    epoch: int
    output: str
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepOutput:
    """Fetch an output from its maker and keep it under its task's label.

    Answered by OutputKept.
    """

    task: Task
    output: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepStanding:
    """Keep what was seen of a device with a class of models, beyond this run and process.

    `reason` says why the standing fell, and is empty where it did not.
    """

    device: DeviceId
    model: str
    seen: Seen
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostNotice:
    """Put a notice on the hive's bulletin. Not answered; one that fails is posted again later."""

    notice: Notice
    expires: int  # unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveNotice:
    """Take a notice of this device back. `expires` as when it was posted last. Not answered."""

    notice: Notice
    expires: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadShard:
    """Read one shard of the bulletin. Answered by ShardRead."""

    shard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeekOffer:
    """Send a notice's author an AskOffer that introduces this device. Not answered if it fails."""

    key: str
    owner: DeviceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Meet:
    """Count the device that signed this advertisement among the members. MembersChanged follows."""

    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Let users see that something happened."""

    happening: Happening


Effect = (
    PlanGoal
    | OpenGraph
    | CloseGraph
    | TellCoordinator
    | ListRun
    | FinishRun
    | KeepBlob
    | Publish
    | Spare
    | SignEntry
    | PublishAll
    | ReadTask
    | AskWitness
    | Send
    | Ping
    | SetTimer
    | CancelTimer
    | RunSkill
    | WorkHere
    | RunReplica
    | OpenBlob
    | StopSkill
    | RunChecks
    | AskOwner
    | CloseQuestion
    | KeepOutput
    | KeepStanding
    | PostNotice
    | RemoveNotice
    | ReadShard
    | SeekOffer
    | Meet
    | Tell
)


def forwarded(effect: Effect) -> Event | None:
    """The event that an effect is to another machine of the same device; None for all others."""
    match effect:
        case OpenGraph(run=run, graph=graph):
            return GraphOpened(run=run, graph=graph)
        case CloseGraph(run=run, detail=detail):
            return GraphClosed(run=run, detail=detail)
        case TellCoordinator(event=event):
            return event
        case _:
            return None
