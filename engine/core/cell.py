"""What a witness remembers of one task, as the canonical bytes of one durable cell.

Times are whole milliseconds of unix time. A cell is bounded: its slots are few.
"""

from dataclasses import dataclass
from functools import lru_cache

from pockethive.core.canonical import encode, from_text, to_text
from pockethive.core.entry import Kind
from pockethive.core.entry_codec import MAX_BODY, MAX_VERDICTS, decode_body, encode_body
from pockethive.core.errors import BadEncoding
from pockethive.core.fields import MAX_TIME, VERSION, Fields
from pockethive.core.lease import MAX_ATTEMPT, MAX_LEASE_SECONDS, Accepted
from pockethive.core.task import DeviceId, Task

MAX_CELL = 4_096
SPARE_SLOTS = 2  # verifiers beyond those needed, so that one slow verifier does not stop a task
MAX_SLOTS = MAX_VERDICTS + SPARE_SLOTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A promise to `holder` for `seconds` from `at` (unix milliseconds)."""

    holder: DeviceId
    at: int
    seconds: int

    def left(self, now: int, booted: int) -> float:
        """Seconds that it still runs; never more than it was granted for.

        Time before this witness began to run (`booted`) does not count, because its clock may have
        stood still: a restart makes every stored promise start anew and shortens none.
        """
        passed = max(0, now - max(self.at, booted)) / 1_000
        return max(0.0, self.seconds - passed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One acceptor's state. `epoch` is the ballot that it promised last, to `holder`.

    `span` is the running lease or hold; None when it was given back. `held` is the hash of the
    output that turned it into a hold. `attempt` is the holder's for it. `task` tells
    what a commit has to prove. `sealed` is the successor that ended this generation here; empty
    while it goes on.
    """

    task: Task
    epoch: int
    span: Span | None = None
    held: str | None = None
    slots: tuple[Span, ...] = ()
    accepted: Accepted | None = None
    sealed: str = ""
    attempt: int = 0

    @property
    def holder(self) -> DeviceId | None:
        """Who was granted `epoch` and did not give it back; also after the time ran out."""
        return None if self.span is None else self.span.holder


def encode_cell(cell: Cell) -> bytes:
    """Canonical bytes, at most `MAX_CELL`."""
    accepted = cell.accepted
    data = encode(
        {
            "v": VERSION,
            "task": _task_text(cell.task),
            "epoch": cell.epoch,
            "span": None if cell.span is None else _span(cell.span),
            "held": cell.held or "",
            "slots": [_span(slot) for slot in cell.slots],
            "accepted": None if accepted is None else [accepted.epoch, accepted.output],
            "sealed": cell.sealed,
            "attempt": cell.attempt,
        }
    )
    if len(data) > MAX_CELL:
        raise BadEncoding(f"a cell of {len(data)} bytes, at most {MAX_CELL} are kept")
    return data


def decode_cell(data: bytes) -> Cell:
    """The cell behind `encode_cell`. Raises BadEncoding for a damaged or foreign one."""
    fields = Fields.read(data, MAX_CELL, "cell")
    task = _take_task(fields.text("task", 2 * MAX_BODY[Kind.TASK]))
    span, accepted = fields.take("span"), fields.take("accepted")
    cell = Cell(
        task=task,
        epoch=fields.whole("epoch"),
        span=None if span is None else _take_span(span),
        held=fields.sha("held", empty=True) or None,
        slots=tuple(_take_span(item) for item in fields.items("slots", MAX_SLOTS)),
        accepted=None if accepted is None else _take_accepted(accepted),
        sealed=fields.sha("sealed", empty=True),
        attempt=fields.whole("attempt", 0, MAX_ATTEMPT),
    )
    fields.done()
    return cell


# A task stays the same from its first lease to its commit, and is most of its cell.


@lru_cache(maxsize=512)
def _task_text(task: Task) -> str:
    return to_text(encode_body(task))


@lru_cache(maxsize=512)
def _take_task(text: str) -> Task:
    task = decode_body(Kind.TASK, from_text(text))
    assert isinstance(task, Task)
    return task


def _span(span: Span) -> list[object]:
    return [span.holder, span.at, span.seconds]


def _take_span(value: object) -> Span:
    fields = _triple(value, ("holder", "at", "seconds"))
    return Span(
        holder=fields.device("holder"),
        at=fields.whole("at", 0, MAX_TIME * 1_000),
        seconds=fields.whole("seconds", 0, MAX_LEASE_SECONDS),
    )


def _take_accepted(value: object) -> Accepted:
    fields = _triple(value, ("epoch", "output"))
    return Accepted(fields.whole("epoch"), fields.sha("output"))


def _triple(value: object, names: tuple[str, ...]) -> Fields:
    if not isinstance(value, list) or len(value) != len(names):
        raise BadEncoding(f"cell: expected {len(names)} values")
    return Fields(dict(zip(names, value, strict=True)), "cell")
