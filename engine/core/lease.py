"""Leases and commits: what is asked of witnesses and what they answer.

One single-decree Paxos per task (Lamport, "Paxos Made Simple", 2001) with time limits: a lease is
a prepare at ballot `epoch`, a commit is an accept. A grant returns the value its witness has
accepted, so that a later holder finishes what may already have been chosen.
"""

from dataclasses import dataclass
from enum import Enum

from pockethive.core.canonical import digest
from pockethive.core.entry import Entry
from pockethive.core.task import DeviceId, TaskId

MAX_EPOCH_JUMP = 16  # how far one lease may raise a witness's epoch
MAX_LEASE_SECONDS = 600
MAX_ATTEMPT = 2**50  # milliseconds
DRIFT = 0.05  # clocks are trusted to run within five per cent of one another


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEpoch:
    """Ask for the highest epoch a witness knows of a task."""

    task: TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class AskLease:
    """Ask for the lease at `epoch`. `entry` is the signed task, for a witness that lacks it.

    `renews`: the asker holds it already. Who does not say so gets no epoch twice: a device that
    restarted has forgotten what it did at the one it held. `attempt`: when the asker first asked
    for this epoch, in milliseconds of its lease clock; it tells its tries for one epoch apart.
    `certificate`: that the asker is a device of the task's owner, where only those may.
    """

    task: TaskId
    epoch: int
    seconds: int
    entry: Entry
    renews: bool = False
    attempt: int = 0
    certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeLease:
    """Give a lease back that did not reach a quorum, or whose work failed.

    Only the one that was asked for in this `attempt`: a word that comes late, when the same device
    holds the same epoch of another attempt or generation, ends nothing. A slot has none.
    """

    task: TaskId
    epoch: int
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Propose:
    """Turn the lease into a verification hold for the signed output."""

    task: TaskId
    epoch: int
    seconds: int
    output: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class AskSlot:
    """Ask to be one of the verifiers of the held output. `invite`: of the owner, to the asker."""

    task: TaskId
    epoch: int
    output: str
    seconds: int
    invite: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class AskCommit:
    """Ask for an ack: `evidence` is the output entry and the verdicts that satisfy the policy."""

    task: TaskId
    epoch: int
    output: str
    evidence: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Ask a witness to end `generation` for good, in favour of the committee `successor` names.

    Only the owner's device that signed the task may, or another with the same owner's
    `certificate`. `entry` is that task, for a witness that lacks it; `successor` is
    `sealing.successor` of the next committee and of whom it would serve.
    """

    task: TaskId
    generation: int
    successor: str
    entry: Entry
    certificate: str = ""


WitnessRequest = ReadEpoch | AskLease | FreeLease | Propose | AskSlot | AskCommit | Seal


@dataclass(frozen=True, slots=True)
class Accepted:
    """A value a witness has accepted, and at which epoch."""

    epoch: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRead:
    """The highest epoch, and the accepted value if any.

    `wait_seconds`: how long a lease of another than who asks still runs here; 0: none does.
    """

    task: TaskId
    epoch: int
    accepted: Accepted | None
    wait_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A lease or hold, or a verifier's `slot`, granted for `seconds` from when it was asked.

    `signature` is over `grant_bytes`; the witness's shell fills it in.
    """

    task: TaskId
    generation: int
    epoch: int
    holder: DeviceId
    seconds: int
    accepted: Accepted | None
    slot: bool = False
    signature: str = ""


class Refused(Enum):
    """Why a witness refused."""

    UNKNOWN = "unknown"  # it has not seen the task
    BUSY = "busy"  # another holder's lease or hold is running
    STALE = "stale"  # the epoch is not above what it has granted
    JUMP = "jump"  # the epoch is too far above
    COMMITTED = "committed"  # it has accepted another value
    UNPROVEN = "unproven"  # output or verdicts do not satisfy the task's policy
    WARMING = "warming"  # it lost its memory and waits for one longest lease
    FULL = "full"  # no verify slot is left
    SEALED = "sealed"  # another committee has taken over, or is about to


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No, with the witness's epoch and how long the holder's lease still runs."""

    task: TaskId
    reason: Refused
    epoch: int
    wait_seconds: int
    accepted: Accepted | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """The witness accepted this output for good. `signature` is over `ack_bytes` of the rest."""

    task: TaskId
    generation: int
    epoch: int
    output: str
    signature: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """The generation has ended at this witness: its highest epoch and what it had accepted.

    `wait_seconds`: how long its lease or hold can still run. `signature` is over `seal_bytes`.
    """

    task: TaskId
    generation: int
    successor: str
    epoch: int
    accepted: Accepted | None
    wait_seconds: int
    signature: str = ""


Yes = EpochRead | Grant | Ack | Sealed
"""The answers that agree."""

WitnessAnswer = Yes | Refusal


def ack_bytes(task: TaskId, generation: int, epoch: int, output: str) -> bytes:
    """What the signature of an ack covers, 32 bytes."""
    return digest("ack", task.encode(), b"%d" % generation, b"%d" % epoch, output.encode())


def signed_part(answer: WitnessAnswer) -> bytes | None:
    """What an answer's signature covers; None for those that need none."""
    match answer:
        case Grant():
            return grant_bytes(answer)
        case Ack():
            return ack_bytes(answer.task, answer.generation, answer.epoch, answer.output)
        case Sealed():
            return seal_bytes(answer)
        case _:
            return None


def seal_bytes(sealed: Sealed) -> bytes:
    """What the signature of a seal covers, 32 bytes. The wait is advice and stays out."""
    return digest(
        "seal",
        sealed.task.encode(),
        b"%d" % sealed.generation,
        sealed.successor.encode(),
        b"%d" % sealed.epoch,
        _value(sealed.accepted),
    )


def _value(accepted: Accepted | None) -> bytes:
    return b"" if accepted is None else b"%d %s" % (accepted.epoch, accepted.output.encode())


def grant_bytes(grant: Grant) -> bytes:
    """What the signature of a grant covers, 32 bytes: everything but the signature."""
    return digest(
        "grant",
        grant.task.encode(),
        b"%d" % grant.generation,
        b"%d" % grant.epoch,
        grant.holder.encode(),
        b"%d" % grant.seconds,
        _value(grant.accepted),
        b"slot" if grant.slot else b"lease",
    )
