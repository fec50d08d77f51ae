"""What machines are told, in the past tense. `now` comes beside an event, never inside."""

from dataclasses import dataclass

from pockethive.core.credibility import Credit
from pockethive.core.entry import Entry, Member, Notice
from pockethive.core.graph import TaskGraph
from pockethive.core.lease import WitnessAnswer
from pockethive.core.message import Message
from pockethive.core.report import TaskReport
from pockethive.core.task import DeviceId, RunId, TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalSubmitted:
    """A caller wants something. `wall` is unix time."""

    run: RunId
    goal: str
    wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphPlanned:
    """A planner made a graph."""

    run: RunId
    graph: TaskGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningFailed:
    """No graph came of it."""

    run: RunId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """The caller does not want the run any more."""

    run: RunId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphOpened:
    """The coordinator wants these tasks done (what OpenGraph becomes at the ledger)."""

    run: RunId
    graph: TaskGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphClosed:
    """The coordinator wants nothing more of a run (what CloseGraph becomes at the ledger)."""

    run: RunId
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnded:
    """The ledger saw a task's end."""

    run: RunId
    report: TaskReport


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReopened:
    """The ledger does a task anew: what it reported of it, if anything, does not hold."""

    run: RunId
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpent:
    """The ledger begins nothing more of a run: `reason` says which budget is used up."""

    run: RunId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAdopted:
    """A caller wants this device to go on with a run of another device of the same owner.

    What `run_record.py` tells of it. `wall` is unix time; `claim` is the run's signed claim.
    """

    run: RunId
    goal: str
    wall: float
    graph: TaskGraph
    withheld: frozenset[str]
    claim: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMoved:
    """The ledger saw that another device of the owner keeps a run, or that it has ended there."""

    run: RunId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditsRead:
    """What this owner had seen of devices before this process began."""

    credits: tuple[Credit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersChanged:
    """The devices of the hive as known now."""

    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryArrived:
    """An entry came by message or was published here; its signature is good."""

    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRead:
    """The entries of a task as found in the DHT; empty when there are none or nobody answered."""

    task: TaskId
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRead:
    """The notices in one shard of the bulletin, each signed by its `owner`; perhaps none."""

    shard: int
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessAnswered:
    """An answer to AskWitness, authenticated; None: no answer in time."""

    ask: str
    witness: DeviceId
    answer: WitnessAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageArrived:
    """A device told this one something. `sender` is authenticated by the sealed channel."""

    sender: DeviceId
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFailed:
    """A message found no one."""

    to: DeviceId
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class PingAnswered:
    """A device is alive, or did not answer. `process` tells apart those that ran on its home."""

    device: DeviceId
    alive: bool
    process: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """A timer set by SetTimer is due."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """Coordinator and ledger are as they were when their process ended; what they had asked for
    may never have been done. `wall` is unix time."""

    wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillDone:
    """An agent made an output; its blob is kept on this device.

    Of a task that is voted on it is kept sealed, and `nonce` (base64url) is for its pledge.
    """

    task: TaskId
    epoch: int
    output: str
    size: int
    model: str
    inputs: tuple[tuple[str, str], ...]
    nonce: str = ""
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaDone:
    """An agent did a task again for a vote; the blob is kept sealed. `nonce` is for the pledge."""

    task: TaskId
    output: str
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaFailed:
    """An agent did a task again and ended without an output."""

    task: TaskId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillFailed:
    """An agent ended without an output."""

    task: TaskId
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksDone:
    """The verifier judged an output; the blob is kept when it was accepted."""

    task: TaskId
    output: str
    accept: bool
    checks: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksFailed:
    """The output could not be judged: the blob was not to be had, or the model failed."""

    task: TaskId
    output: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionShown:
    """An output that its owner is asked about is here for him to see, or is not to be had."""

    task: TaskId
    epoch: int
    output: str
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerAnswered:
    """The owner says what he thinks of an output; `reason`: why not, at most `MAX_REMARK` bytes."""

    task: TaskId
    epoch: int
    output: str
    accept: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputKept:
    """A copy of an output is on this device, or could not be had."""

    task: TaskId
    output: str
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """This device is about to leave: no new work; unless `patient`, none in hand either."""

    patient: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LendingChanged:
    """From now on this device works for others, or not: only for its own owner's runs."""

    open: bool
    reason: str


Event = (
    GoalSubmitted
    | RunAdopted
    | RunMoved
    | GraphPlanned
    | PlanningFailed
    | CancelRequested
    | GraphOpened
    | GraphClosed
    | TaskEnded
    | TaskReopened
    | BudgetSpent
    | CreditsRead
    | MembersChanged
    | EntryArrived
    | TaskRead
    | ShardRead
    | WitnessAnswered
    | MessageArrived
    | SendFailed
    | PingAnswered
    | TimerFired
    | Restarted
    | SkillDone
    | SkillFailed
    | ReplicaDone
    | ReplicaFailed
    | ChecksDone
    | ChecksFailed
    | QuestionShown
    | OwnerAnswered
    | OutputKept
    | Leaving
    | LendingChanged
)
