"""The life of a task: one table of moves, used by the ledger and by every fold.

Rule guarded here: what is not in the table cannot happen, and a commit outranks a close.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

from pockethive.core.entry import CloseReason
from pockethive.core.errors import IllegalMove


class Status(Enum):
    """How far a task has come."""

    WAITING = "waiting"
    READY = "ready"
    CLAIMED = "claimed"
    PROPOSED = "proposed"
    COMMITTED = "committed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    __hash__ = object.__hash__  # members are single; Enum hashes their names each time

    @property
    def ended(self) -> bool:
        """True when nothing but a commit can still happen."""
        return self in _ENDS


class Move(Enum):
    """What happens to a task."""

    UNLOCK = "unlock"  # what it waits for has arrived
    CLAIM = "claim"  # a device holds its lease
    PROPOSE = "propose"  # an output waits for verdicts
    RETRY = "retry"  # rejected, failed or let go: anyone may take it again
    COMMIT = "commit"  # a quorum accepted an output
    FAIL = "fail"
    CANCEL = "cancel"
    LOSE = "lose"  # its device is gone

    __hash__ = object.__hash__


_ENDS = frozenset((Status.COMMITTED, Status.FAILED, Status.CANCELLED, Status.LOST))
_OPEN = (Status.READY, Status.CLAIMED, Status.PROPOSED)
_CLOSING = {
    Move.FAIL: Status.FAILED,
    Move.CANCEL: Status.CANCELLED,
    Move.LOSE: Status.LOST,
}
CLOSES = {
    CloseReason.FAILED: Move.FAIL,
    CloseReason.CANCELLED: Move.CANCEL,
    CloseReason.LOST: Move.LOSE,
}
"""The move that a close entry makes."""

TABLE: Mapping[tuple[Status, Move], Status] = {
    (Status.WAITING, Move.UNLOCK): Status.READY,
    **{(status, Move.CLAIM): Status.CLAIMED for status in _OPEN},
    **{(status, Move.PROPOSE): Status.PROPOSED for status in _OPEN},
    **{(status, Move.RETRY): Status.READY for status in _OPEN},
    **{(status, Move.COMMIT): Status.COMMITTED for status in _OPEN},
    **{
        (status, move): end for status in (Status.WAITING, *_OPEN) for move, end in _CLOSING.items()
    },
    # a commit outranks a close, whichever is seen first
    **{(status, Move.COMMIT): Status.COMMITTED for status in _ENDS},
    **{(Status.COMMITTED, move): Status.COMMITTED for move in _CLOSING},
}


def step(task: str, status: Status, move: Move, story: Sequence[str] = ()) -> Status:
    """The status after `move`.

    Raises:
        IllegalMove: the table has no such move; it carries the story.
    """
    try:
        return TABLE[status, move]
    except KeyError:
        raise IllegalMove(task, status.value, move.value, story) from None


def mermaid() -> str:
    """The table as a Mermaid state diagram, for docs/protocol.md."""
    moves: dict[tuple[Status, Status], list[str]] = {}
    for (before, move), after in TABLE.items():
        moves.setdefault((before, after), []).append(move.value)
    lines = ["stateDiagram-v2", "    [*] --> waiting"]
    for before in Status:
        for after in Status:
            names = moves.get((before, after))
            if names:
                told = " / ".join(sorted(names))
                lines.append(f"    {before.value} --> {after.value}: {told}")
    return "\n".join(lines)
