"""The lifecycle table, pair by pair, and the diagram that is made of it."""

from itertools import product
from pathlib import Path

import pytest

from pockethive.core.errors import IllegalMove
from pockethive.core.lifecycle import TABLE, Move, Status, mermaid, step

OPEN = (Status.READY, Status.CLAIMED, Status.PROPOSED)
CLOSED = {Move.FAIL: Status.FAILED, Move.CANCEL: Status.CANCELLED, Move.LOSE: Status.LOST}


def expected(status: Status, move: Move) -> Status | None:
    """The rules in words, beside the table."""
    if move is Move.COMMIT:
        return None if status is Status.WAITING else Status.COMMITTED
    if move in CLOSED:
        if status is Status.COMMITTED:
            return Status.COMMITTED
        return None if status.ended else CLOSED[move]
    if move is Move.UNLOCK:
        return Status.READY if status is Status.WAITING else None
    after = {
        Move.CLAIM: Status.CLAIMED,
        Move.PROPOSE: Status.PROPOSED,
        Move.RETRY: Status.READY,
    }
    return after[move] if status in OPEN else None


@pytest.mark.parametrize(
    ("status", "move"),
    list(product(Status, Move)),
    ids=lambda value: str(value.value),
)
def test_every_pair_moves_as_the_rules_say(status: Status, move: Move) -> None:
    after = expected(status, move)
    assert TABLE.get((status, move)) is after
    if after is not None:
        assert step("t", status, move) is after
        return
    with pytest.raises(IllegalMove) as caught:
        step("t", status, move, ("made by a", "closed"))
    assert caught.value.story == ("made by a", "closed")
    assert "made by a; closed" in str(caught.value)


def test_a_commit_outranks_every_close_in_either_order() -> None:
    for close in CLOSED:
        first = step("t", step("t", Status.PROPOSED, close), Move.COMMIT)
        second = step("t", step("t", Status.PROPOSED, Move.COMMIT), close)
        assert first is second is Status.COMMITTED


def test_the_diagram_in_the_documentation_is_this_table() -> None:
    page = Path(__file__).parent.parent.parent / "docs" / "protocol.md"
    assert mermaid() in page.read_text()
