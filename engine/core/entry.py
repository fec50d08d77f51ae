"""Entries: the signed, immutable facts about a task. A task's state is folded from a set of them.

An `Entry` here has already been opened: its signature was checked by the DHT when it arrived, and
`author` is who signed. `digest` identifies the signed bytes. Codecs are in `entry_codec`.
"""

from dataclasses import dataclass
from enum import Enum

from pockethive.core.labels import Label
from pockethive.core.task import DeviceId, Task, TaskId


class Kind(Enum):
    """Kinds of entries, as they are called on the wire."""

    TASK = "task"
    CLAIM = "claim"
    OUTPUT = "output"
    VERDICT = "verdict"
    WAIVER = "waiver"
    RULING = "ruling"
    INVITE = "invite"
    PLEDGE = "pledge"
    BALLOT = "ballot"
    COMMIT = "commit"
    SEAL = "seal"
    CLOSE = "close"
    MEMBER = "member"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Advertisement that a device works on a task, or keeps a run; never the lock.

    `certificate`: of a run's claim, that its author is a device of the run's owner.
    """

    task: TaskId
    epoch: int
    until: int  # unix seconds
    certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a worker made at `epoch`: the hash of the output blob and what went into it."""

    task: TaskId
    epoch: int
    output: str  # SHA-256 of the output blob, hex
    size: int  # bytes of the blob
    model: str  # class of the model that made it (`ModelClass.id`), hex; empty without a model
    inputs: tuple[tuple[str, str], ...]  # (source task's name, hash of its committed output)
    tokens: int = 0  # read and written by a model, on its worker's word


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A verifier's judgement of one output. An accepting one promises to hold the blob."""

    task: TaskId
    epoch: int
    output: str
    worker: DeviceId
    accept: bool
    checks: tuple[str, ...]  # names of the checkers that ran
    reason: str  # at most 200 characters, never text of the document


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """The owner does without verdicts on one output of an adaptive task: it is taken on credit."""

    task: TaskId
    epoch: int
    output: str
    worker: DeviceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the owner of a run himself says of one output of a task that asks him."""

    task: TaskId
    epoch: int
    output: str
    worker: DeviceId
    accept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """The owner drew this device to judge one output. Shown to witnesses, never published."""

    task: TaskId
    epoch: int
    output: str
    verifier: DeviceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Pledge:
    """A device has an answer to a task that is voted on, and shows it later (`ballot.pledge_of`).

    `epoch`: of the lease under which it was asked for.
    """

    task: TaskId
    epoch: int
    pledge: str  # hex


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """The owner's count of a vote: the answer that won, and what opens the pledges of its voters.

    Nobody but the owner has seen an answer before it stands; so what it counts was pledged blindly.
    """

    task: TaskId
    output: str  # SHA-256 of the output blob that they all made, hex
    votes: tuple[tuple[DeviceId, str], ...]  # (device, its nonce, base64url), by device


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Proof that a quorum accepted one output: (witness, its signature over the ack) each.

    `holders`: who holds it besides its maker and verifiers, as whoever published this was told.
    """

    task: TaskId
    generation: int
    epoch: int
    output: str
    acks: tuple[tuple[DeviceId, str], ...]
    holders: tuple[DeviceId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealVote:
    """What one witness said when it sealed: its highest epoch, and (epoch, hash) if it accepted."""

    witness: DeviceId
    epoch: int
    accepted: tuple[int, str] | None
    signature: str  # over `lease.seal_bytes`, base64url


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """Proof that a generation of witnesses has ended, and who goes on (`sealing.successor`)."""

    task: TaskId
    generation: int
    successor: str
    votes: tuple[SealVote, ...]


class CloseReason(Enum):
    """Why an owner closed a task without an output."""

    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The owner's end of a task that has no commit. A commit outranks it."""

    task: TaskId
    reason: CloseReason
    detail: str  # at most 200 characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A device's advertisement of itself under the hive's key."""

    device: DeviceId
    owner_key: str  # base64url
    certificate: str  # the owner's signature over the device key, base64url
    host: str
    port: int
    skills: tuple[str, ...]
    checkers: tuple[str, ...]
    model: str  # class of the model it can run (`ModelClass.id`), hex; empty without one
    documents: int  # how many it holds; never their names
    works: bool  # False: stores and witnesses only


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """On the hive's bulletin: a task that nobody known takes. `owner` is asked for the offer."""

    key: str  # a tagged hash of the task's id, hex
    skill: str
    size: int  # class 0 to 7
    model: str  # the model class that it wants: "any" or, for none, empty
    label: Label
    owner: DeviceId


Body = (
    Task
    | Claim
    | Output
    | Verdict
    | Waiver
    | Ruling
    | Invite
    | Pledge
    | Ballot
    | Commit
    | Sealing
    | Close
    | Member
    | Notice
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One opened entry. Times are whole unix seconds."""

    kind: Kind
    author: DeviceId
    expires: int
    body: Body
    digest: str
    wire: bytes  # the signed record as it travels, to be shown to witnesses
