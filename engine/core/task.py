"""A task: one vertex of the graph, first as planned, then as signed and stored.

A planned task has names and parameters. The ledger turns it into a `Task`, which names its
witnesses and says nothing of its text: that is in the spec blob, whose hash is in the task id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from hashlib import sha256
from sys import intern
from typing import Any, NewType

from pockethive.core.canonical import digest, encode
from pockethive.core.errors import GraphError
from pockethive.core.labels import Label

DeviceId = NewType("DeviceId", str)
"""A device's Ed25519 public key, base64url without padding (43 characters)."""

TaskId = NewType("TaskId", str)
"""`run/name/first 16 hex digits of the spec's SHA-256`."""

RunId = NewType("RunId", str)
"""32 hex digits, drawn once per run."""


class EdgeKind(Enum):
    """When an input edge is satisfied."""

    ALL = "all"
    AT_LEAST = "at_least"
    ARRIVED_BY = "arrived_by"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What a task waits for.

    `all`: every source is committed; one that ends otherwise fails this task too.
    `at_least`: `count` sources are committed; fewer possible fails this task.
    `arrived_by`: every source has ended, or `seconds` passed since the run began; the task goes on
    with the sources that were committed (at least `count`).
    """

    kind: EdgeKind
    sources: tuple[str, ...]
    count: int = 1
    seconds: int = 0


class Policy(Enum):
    """How an output is verified.

    `check`: a checker looks at it. `choose`, `rescore`: one that asks a model. `judge`: one that
    asks it freely for yes or no, where its card shows that it can. `recompute`: other
    devices do the work again without seeing it, and the answer of most counts (`ballot.py`).
    `human`: the owner of the run is asked (`ruling.py`).
    """

    CHECK = "check"
    CHOOSE = "choose"
    HUMAN = "human"
    JUDGE = "judge"
    RECOMPUTE = "recompute"
    RESCORE = "rescore"


@dataclass(frozen=True, slots=True)
class Check:
    """One examination a verifier makes, by the name of its checker."""

    policy: Policy
    checker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a commit needs: `verdicts` accepting devices, each having passed every check.

    No checks at all is allowed only for outputs that stay on their device (label `device`).
    `adaptive`: the owner may take the output of a device with credit without verdicts.
    """

    checks: tuple[Check, ...]
    verdicts: int = 1
    adaptive: bool = False


@dataclass(frozen=True, slots=True)
class Deadline:
    """How many seconds after its claim a task should be made, or must be; 0: no such bound.

    `soft`: others get it, unless it has been made by then. `hard`: the attempt has failed.
    """

    soft: int = 0
    hard: int = 0


NO_DEADLINE = Deadline()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """A task as a planner proposes it. `after` and `place` are names and devices of this run."""

    name: str
    role: str
    skill: str
    params: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[Edge, ...] = ()
    place: DeviceId | None = None
    label: Label = Label.HIVE
    verification: Verification
    needs_model: bool = False
    deadline: Deadline = NO_DEADLINE
    turn: int = 1  # how often it was planned; another turn is another task id
    sources: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Names of the tasks this one reads, without repetition, in order."""

    def __post_init__(self) -> None:
        if len(self.after) == 1 and len(set(self.after[0].sources)) == len(self.after[0].sources):
            sources = self.after[0].sources  # the same object: most tasks have one edge
        else:
            sources = tuple(dict.fromkeys(name for edge in self.after for name in edge.sources))
        object.__setattr__(self, "sources", sources)

    def spec(self) -> bytes:
        """The spec blob: everything a worker must know beyond the signed task."""
        return _spec(self.role, self.skill, self.turn, self.params)

    def spec_sha(self) -> str:
        """SHA-256 of the spec blob, hex; one text for all tasks that differ in name alone."""
        if self.params:
            return intern(sha256(self.spec()).hexdigest())
        return _bare_sha(self.role, self.skill, self.turn)


def _spec(role: str, skill: str, turn: int, params: Mapping[str, Any]) -> bytes:
    return encode({"v": 1, "role": role, "skill": skill, "params": dict(params), "turn": turn})


@lru_cache(maxsize=256)
def _bare_sha(role: str, skill: str, turn: int) -> str:
    """Of a task without parameters."""
    return sha256(_spec(role, skill, turn, {})).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Committee:
    """The witnesses (Paxos acceptors) of one generation of a task.

    `bound`: the hash of the only output that they may accept, because an earlier generation may
    have committed it; empty where there is none. Epochs begin above `epoch_base`.
    """

    witnesses: tuple[DeviceId, ...]
    quorum: int
    generation: int = 1
    epoch_base: int = 0
    bound: str = ""

    def __post_init__(self) -> None:
        if len(set(self.witnesses)) != len(self.witnesses) or not self.witnesses:
            raise GraphError("a committee needs distinct witnesses, at least one")
        if not len(self.witnesses) < 2 * self.quorum <= 2 * len(self.witnesses):
            raise GraphError(f"quorum {self.quorum} of {len(self.witnesses)} does not intersect")

    @property
    def liars(self) -> int:
        """f: how many lying witnesses two quorums still outvote (2q - K > f)."""
        return 2 * self.quorum - len(self.witnesses) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the run's owner signs and stores. Times are whole unix seconds.

    Without a `certificate` no other device of the same owner can ever go on with it: that
    `owner_key` certified `owner` is then only said. An entry whose certificate is none is not
    opened.
    """

    id: TaskId
    run: RunId
    name: str
    role: str
    skill: str
    spec: str  # SHA-256 of the spec blob, hex
    after: tuple[Edge, ...]
    place: DeviceId | None
    label: Label
    verification: Verification
    needs_model: bool
    committee: Committee
    owner: DeviceId  # the owner's device that keeps this run's ledger
    owner_key: str  # the owner who certified that device, base64url
    began: int  # when the run began: `arrived_by` counts from here
    lease_seconds: int
    expires: int
    certificate: str = ""  # the owner's signature over `owner`, base64url; proven at opening

    @property
    def key(self) -> bytes:
        """The DHT key of this task's entries, 20 bytes."""
        return task_key(self.id)


def task_id(run: RunId, name: str, spec_sha256: str) -> TaskId:
    """The id of a task; it binds the run, the name and the spec."""
    return TaskId(f"{run}/{name}/{spec_sha256[:16]}")


def task_key(task: TaskId) -> bytes:
    """The DHT key of a task's entries, 20 bytes."""
    return digest("task key", task.encode())[:20]
