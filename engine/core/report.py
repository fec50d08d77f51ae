"""What a run tells its caller: happenings while it goes, and its outcome at the end."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pockethive.core.entry import Body, Entry
from pockethive.core.task import DeviceId, RunId, Task, TaskId


class RunStatus(Enum):
    """How a run ended. `partial`: some inputs are missing and named. `moved`: not here; another
    device of the same owner keeps it."""

    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    MOVED = "moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something users may watch, in the past tense.

    `what`: planned, opened, offered, claimed, made, asked (its owner; `detail` names the question),
    ruled, verified, rejected, credited, committed, closed, lost, reopened, resumed, finished;
    missed: how many a slow reader lost. `device` is who did it.
    """

    what: str
    run: RunId
    task: str = ""
    device: DeviceId | None = None
    detail: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """One task's end, with the entries that prove it (its receipts)."""

    name: str
    id: TaskId
    task: Task
    status: str  # committed, failed, cancelled, lost, open
    worker: DeviceId | None
    epoch: int
    attempts: int
    output: str | None  # hash of the committed output blob
    holders: tuple[DeviceId, ...]
    on_credit: bool  # committed with a waiver: nobody has verified it
    reason: str
    receipts: tuple[Entry, ...]
    story: tuple[str, ...]
    unsigned: tuple[Body, ...] = ()  # entries of this device that nobody else has seen yet
    asked: bool = False  # it was closed while its owner was asked what he thinks of its output


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A run's end: its tasks, the outputs of its sinks by hash, and what is missing."""

    run: RunId
    status: RunStatus
    reason: str
    tasks: tuple[TaskReport, ...]
    sinks: tuple[str, ...]
    missing: tuple[tuple[str, str], ...]  # (task name, why)
    plan_seconds: float
    seconds: float
