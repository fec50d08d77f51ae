"""Which tasks are looked at: all for whom something has changed, and few others."""

from pockethive.core.graph import Outcome, TaskGraph
from pockethive.core.ledger_agenda import Agenda
from pockethive.core.task import EdgeKind
from tests.core.core_play import edge, planned

A, B, JOIN, SOME, LATE = range(5)


def agenda() -> Agenda:
    made = Agenda(
        TaskGraph(
            (
                planned("a"),
                planned("b"),
                planned("join", (edge("a", "b"),)),
                planned("some", (edge("a", "b", kind=EdgeKind.AT_LEAST, count=1),)),
                planned("late", (edge("join", kind=EdgeKind.ARRIVED_BY, count=1, seconds=5),)),
            )
        )
    )
    assert list(made.round(0.0)) == [A, B, JOIN, SOME, LATE]
    return made


def test_who_waits_for_all_is_looked_at_once_when_the_last_is_committed() -> None:
    looked = agenda()
    looked.told(A, Outcome.COMMITTED)
    assert list(looked.round(0.0)) == [SOME]
    looked.told(A, Outcome.COMMITTED)
    assert list(looked.round(0.0)) == []
    looked.told(B, Outcome.COMMITTED)
    assert list(looked.round(0.0)) == [JOIN, SOME]
    looked.told(JOIN, Outcome.COMMITTED)
    assert list(looked.round(0.0)) == [LATE]


def test_a_failure_concerns_every_reader_at_once() -> None:
    looked = agenda()
    looked.told(A, Outcome.FAILED)
    assert list(looked.round(0.0)) == [JOIN, SOME]


def test_what_is_taken_back_is_waited_for_again() -> None:
    looked = agenda()
    looked.told(A, Outcome.COMMITTED)
    looked.told(A, Outcome.OPEN)
    assert list(looked.round(0.0)) == [JOIN, SOME]
    looked.told(B, Outcome.COMMITTED)
    assert list(looked.round(0.0)) == [SOME]
    looked.told(A, Outcome.COMMITTED)
    assert list(looked.round(0.0)) == [JOIN, SOME]
    looked.told(B, Outcome.FAILED)
    assert list(looked.round(0.0)) == [JOIN, SOME]
