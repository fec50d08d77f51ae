"""Acts on the world: a skill drafts one, the run's owner approves it, his device begins it once.

A skill's output may hold `drafts`. They become acts after the output's commit, never before.
Rules guarded here: what is not in the table cannot happen; nothing begins without approval; an act
whose outcome is unknown is asked about and never simply begun again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pockethive.core.canonical import digest
from pockethive.core.errors import IllegalMove
from pockethive.core.fields import Fields

MAX_DRAFTS: Final = 16  # of one output
MAX_KIND: Final = 32
MAX_TARGET: Final = 500
MAX_PAYLOAD: Final = 256 * 1024
MAX_KEY: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An act as a skill wants it done.

    `kind` names the executor, `target` what it acts on, `payload` the text it needs. `key` says
    which act it is: two drafts of one kind and key are one act.
    """

    kind: str
    target: str
    payload: str
    key: str

    def to_json(self) -> dict[str, str]:
        """As it stands in an output."""
        return {
            "kind": self.kind,
            "target": self.target,
            "payload": self.payload,
            "key": self.key,
        }

    @property
    def digest(self) -> bytes:
        """32 bytes that tell it from any other."""
        parts = (self.kind, self.target, self.payload, self.key)
        return digest("draft", *(part.encode() for part in parts))


def drafts_of(value: Any) -> tuple[Draft, ...]:
    """The drafts in an output's value; none where it has none.

    Raises BadEncoding: something that is no draft, or over a bound.
    """
    if not isinstance(value, dict) or "drafts" not in value:
        return ()
    items = Fields({"drafts": value["drafts"]}, "output").items("drafts", MAX_DRAFTS)
    return tuple(_take(item) for item in items)


def _take(item: object) -> Draft:
    fields = Fields(item, "draft")
    draft = Draft(
        kind=fields.text("kind", MAX_KIND, 1),
        target=fields.text("target", MAX_TARGET, 1),
        payload=fields.text("payload", MAX_PAYLOAD),
        key=fields.text("key", MAX_KEY, 1),
    )
    fields.done()
    return draft


class State(Enum):
    """How far an act has come."""

    DRAFTED = "drafted"
    APPROVED = "approved"
    BEGUN = "begun"  # said on the disk before the act
    DONE = "done"
    FAILED = "failed"  # surely nothing happened
    UNKNOWN = "unknown"
    DROPPED = "dropped"

    @property
    def ended(self) -> bool:
        """Nothing can happen any more."""
        return self in {State.DONE, State.DROPPED}


class Move(Enum):
    """What happens to an act."""

    APPROVE = "approve"
    DROP = "drop"
    BEGIN = "begin"
    SUCCEED = "succeed"
    FAIL = "fail"
    LOSE = "lose"  # the process died, or the executor cannot say
    FIND = "find"  # asked about: it happened
    MISS = "miss"  # asked about: it did not happen, and may be begun again


TABLE: Mapping[tuple[State, Move], State] = {
    (State.DRAFTED, Move.APPROVE): State.APPROVED,
    (State.DRAFTED, Move.DROP): State.DROPPED,
    (State.APPROVED, Move.DROP): State.DROPPED,
    (State.APPROVED, Move.BEGIN): State.BEGUN,
    (State.BEGUN, Move.SUCCEED): State.DONE,
    (State.BEGUN, Move.FAIL): State.FAILED,
    (State.BEGUN, Move.LOSE): State.UNKNOWN,
    (State.UNKNOWN, Move.FIND): State.DONE,
    (State.UNKNOWN, Move.MISS): State.APPROVED,
    (State.UNKNOWN, Move.DROP): State.DROPPED,
    (State.FAILED, Move.APPROVE): State.APPROVED,
    (State.FAILED, Move.DROP): State.DROPPED,
}


def step(act: str, state: State, move: Move) -> State:
    """The state after `move`. Raises IllegalMove: the table has no such move."""
    try:
        return TABLE[state, move]
    except KeyError:
        raise IllegalMove(act, state.value, move.value) from None
