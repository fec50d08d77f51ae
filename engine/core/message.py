"""What devices tell one another directly. None of it carries text of goals or documents."""

from dataclasses import dataclass

from pockethive.core.certificate import Certificate
from pockethive.core.entry import Entry
from pockethive.core.labels import Label
from pockethive.core.task import DeviceId, TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A ready task, offered to a device that can do it."""

    task: TaskId
    skill: str
    needs_model: bool
    label: Label
    place: DeviceId | None
    entry: Entry  # the signed task
    inputs: tuple[tuple[str, TaskId], ...] = ()  # committed sources: (name, task)
    remarks: str = ""  # the blob that says why its owner rejected earlier outputs, hex


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOffer:
    """An output that wants a verdict, offered to a device that may give one."""

    task: TaskId
    entry: Entry  # the signed task
    output: Entry  # the signed output
    invite: Entry  # the owner's signed word that the device was drawn
    inputs: tuple[tuple[str, TaskId], ...] = ()  # committed sources: (name, task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Owner's device to another: hold a copy of this output. Answered by Progress, or not."""

    task: TaskId
    entry: Entry  # the signed task
    output: Entry  # the signed output


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicate:
    """Owner's device to another: do this task again for a vote, without a lease, and pledge.

    `epoch`: of the lease under which it is done elsewhere; the pledge names it.
    """

    task: TaskId
    epoch: int
    entry: Entry  # the signed task
    inputs: tuple[tuple[str, TaskId], ...] = ()  # committed sources: (name, task)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOpening:
    """Owner's device to who made this pledge: as many are in as could decide; open yours."""

    task: TaskId
    pledge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """To the owner's device alone: what opens a pledge."""

    task: TaskId
    nonce: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Owner's device to who agreed: the vote is over. What was sealed may be shown."""

    task: TaskId
    entry: Entry  # the ballot; or the waiver of an output that is taken on credit


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Worker or verifier to the owner's device: here is my signed entry (output, verdict, pledge).

    What a worker made comes with the `grants` of the lease under which it was made.
    """

    entry: Entry
    grants: Certificate = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Worker or verifier to the owner's device: how its work goes.

    `claimed`: the lease is held. `failed`: the work ended without an output. `returned`: the device
    gave it back because it does not lend itself any more or leaves, which is nobody's failure.
    `accepted`: the lease at `epoch` is held and witnesses had accepted the output named by `reason`
    before. `checking`: a verify slot is held, or a replica begun. `unchecked`: it could not be
    judged, or not be done again. `holding`: a copy of the output is held. `unheld`: it will not be.
    `claimed` and `accepted` are believed for the `grants` of the lease at `epoch`.
    """

    task: TaskId
    epoch: int
    state: str
    reason: str
    grants: Certificate = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LetGo:
    """Owner's device to a worker: stop, and give the lease at `epoch` back; 0: ask for none.

    `soft`: only if there is no output yet; then it says `returned`.
    """

    task: TaskId
    epoch: int
    reason: str
    soft: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Owner's device to worker and verifiers: the task is committed or closed."""

    task: TaskId
    entry: Entry  # commit or close


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOffer:
    """A device that read a notice to its author: offer me that task. Answered by an Offer, or not.

    `entry` is the asker's signed advertisement of itself: the author may not know it.
    """

    key: str  # of the notice
    entry: Entry


Message = (
    Offer
    | VerifyOffer
    | Replicate
    | AskOpening
    | Opened
    | Counted
    | Keep
    | Made
    | Progress
    | LetGo
    | Ended
    | AskOffer
)

PROGRESS_STATES = frozenset(
    ("claimed", "failed", "returned", "accepted", "checking", "unchecked", "holding", "unheld")
)
