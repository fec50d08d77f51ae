"""How many tasks of a run are offered at once, and that nobody waits for what takes long."""

from typing import Any

from pockethive.core.effects import Send
from pockethive.core.entry import Commit
from pockethive.core.events import EntryArrived
from pockethive.core.graph import TaskGraph
from pockethive.core.ledger_pace import EACH, PACE_SECONDS, Pace
from pockethive.core.message import Offer
from pockethive.core.report import RunStatus
from pockethive.core.table_plan import TablePlan
from pockethive.core.testing import Table
from tests.core.core_play import DEVICES, OWNER_KEY, planned, sign, verify

MANY = TaskGraph(tuple(planned(f"t{number}") for number in range(80)))


def table(seed: str, **changes: Any) -> Table:
    parts: dict[str, Any] = {
        "seed": seed,
        "devices": DEVICES[:3],
        "owner_key": OWNER_KEY,
        "skills": ("search",),
        "checkers": ("quotation",),
    }
    return Table(TablePlan(**{**parts, **changes}), sign, verify)


def offered(played: Table) -> dict[str, float]:
    """When each task was offered first."""
    first: dict[str, float] = {}
    for line in played.transcript:
        for effect in line.effects:
            if isinstance(effect, Send) and isinstance(effect.message, Offer):
                first.setdefault(effect.message.task, line.at)
    return first


def admitted(pace: Pace, places: range, needs: str, now: float) -> list[int]:
    return [place for place in places if pace.admits(place, needs, 1, now)]


def test_as_many_are_under_way_as_devices_can_soon_end_and_an_end_lets_the_next_in() -> None:
    pace = Pace()
    assert admitted(pace, range(20), "search", 0.0) == list(range(EACH))
    assert not list(pace.due(0.1))
    assert pace.waits(EACH)
    pace.ended(3)
    pace.ended(5)
    assert list(pace.due(0.2)) == [EACH, EACH + 1]
    assert admitted(pace, range(EACH, EACH + 2), "search", 0.2) == [EACH, EACH + 1]
    assert not pace.admits(15, "search", 1, 0.2)


def test_who_stood_in_line_is_let_in_before_who_comes_then() -> None:
    pace = Pace()
    admitted(pace, range(10, 10 + EACH + 1), "search", 0.0)
    pace.ended(10)
    assert list(pace.due(0.1)) == [10 + EACH]
    assert not pace.admits(1, "search", 1, 0.1), "its place in the graph is before, its turn is not"
    assert pace.admits(10 + EACH, "search", 1, 0.1)


def test_what_takes_long_keeps_nothing_back() -> None:
    pace = Pace()
    admitted(pace, range(20), "search", 0.0)
    assert not list(pace.due(PACE_SECONDS - 0.1))
    assert list(pace.due(PACE_SECONDS)) == list(range(EACH, 2 * EACH))


def test_nor_what_asks_something_else_of_a_device() -> None:
    pace = Pace()
    admitted(pace, range(20), "search", 0.0)
    assert pace.admits(20, "write", 1, 0.0)


def test_a_task_that_is_looked_at_again_in_line_stands_there_once() -> None:
    pace = Pace()
    admitted(pace, range(EACH + 2), "search", 0.0)
    assert not pace.admits(EACH, "search", 1, 0.0)
    assert pace.admits(0, "search", 1, 0.0), "one that is under way is not put back"
    pace.ended(EACH + 1)  # nobody wants it any more
    pace.ended(0)
    pace.ended(1)
    assert list(pace.due(0.0)) == [EACH]


def test_a_wide_run_of_short_tasks_is_ended_with_few_of_them_under_way() -> None:
    played = table("pace", work_seconds=0.05, check_seconds=0.02)
    outcome = played.run(MANY)
    assert outcome.status is RunStatus.COMPLETED
    began = list(offered(played).values())
    ended = [
        line.at
        for line in played.transcript
        if isinstance(line.event, EntryArrived) and isinstance(line.event.entry.body, Commit)
    ]
    assert len(began) == len(MANY.tasks)
    for at in began:
        ahead = sum(other <= at for other in began) - sum(end < at for end in ended)
        assert ahead <= 3 * EACH + 3, f"seed {played.plan.seed}: {ahead} at {at:.2f} s"
    assert began[-1] > 1.0, "all at once"


def test_tasks_that_take_long_are_offered_within_seconds_all_the_same() -> None:
    played = table("slow", work_seconds=20.0)
    outcome = played.run(TaskGraph(MANY.tasks[:40]))
    assert outcome.status is RunStatus.COMPLETED
    assert max(offered(played).values()) < 2 * PACE_SECONDS
