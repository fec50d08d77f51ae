"""Tasks that poison whoever takes them end, with who failed and why, and leave others alone."""

from typing import Any

from pockethive.core.effects import Publish, Send
from pockethive.core.entry import Close
from pockethive.core.events import TimerFired
from pockethive.core.graph import TaskGraph
from pockethive.core.message import LetGo
from pockethive.core.report import RunStatus
from pockethive.core.spec import Limits
from pockethive.core.table_plan import TablePlan
from pockethive.core.task import DeviceId
from pockethive.core.testing import Table
from tests.core.core_play import DEVICES, OWNER_KEY, edge, grants, planned, sign, verify
from tests.core.ledger_play import claim, of, opened, said

GRAPH = TaskGraph((planned("a"),))
OWNER, FIRST, SECOND, THIRD = DEVICES[:4]


def test_the_last_failure_closes_a_task_and_every_one_is_named() -> None:
    ledger, (task,) = opened(graph=GRAPH, attempts=3)
    closed: list[Any] = []
    for epoch, (device, reason) in enumerate(
        [(FIRST, "no memory"), (SECOND, "it burns"), (THIRD, "no idea")], 1
    ):
        shown = grants(task, device, epoch)
        ledger.handle(said(device, claim(task, epoch, grants=shown)), float(epoch))
        effects = ledger.handle(said(device, claim(task, epoch, "failed", reason)), epoch + 0.5)
        closed += [each.body for each in of(Publish, effects) if isinstance(each.body, Close)]
    (close,) = closed
    for device, reason in ((FIRST, "no memory"), (SECOND, "it burns"), (THIRD, "no idea")):
        assert f"{device[:8]}: {reason}" in close.detail


def claimed(epochs: int, **limits: Any) -> list[tuple[int, str, list[DeviceId]]]:
    """Leases of one task, each had by another device and none of them given back: what closed it,
    at which epoch, and who was told to let go."""
    ledger, (task,) = opened(graph=GRAPH, **limits)
    found = []
    for epoch in range(1, epochs + 1):
        device = (FIRST, SECOND)[epoch % 2]
        shown = grants(task, device, epoch)
        effects = ledger.handle(said(device, claim(task, epoch, grants=shown)), epoch / 10)
        told = [each.to for each in of(Send, effects) if isinstance(each.message, LetGo)]
        found += [
            (epoch, each.body.detail, told)
            for each in of(Publish, effects)
            if isinstance(each.body, Close)
        ]
        ledger.handle(TimerFired(name="tick"), epoch / 10 + 0.05)
    return found


def test_a_task_of_which_leases_are_had_again_and_again_is_closed_by_their_number() -> None:
    assert claimed(4, claims=4) == []
    ((epoch, detail, told),) = claimed(6, claims=4)
    assert (epoch, told) == (5, [SECOND])
    assert detail == "4 leases of it ended without an output that counts"


def test_a_task_that_all_get_wrong_ends_its_branch_and_the_rest_is_answered() -> None:
    poison = TaskGraph((planned("poison"), planned("good"), planned("end", (edge("good"),))))
    plan = TablePlan(
        seed="poison",
        devices=DEVICES[:6],
        owner_key=OWNER_KEY,
        skills=("search",),
        checkers=("quotation",),
        limits=Limits(attempts=3),
        liars=frozenset(DEVICES[:6]),
        lies=frozenset({"poison"}),
    )
    outcome = Table(plan, sign, verify).run(poison)
    assert outcome.status in (RunStatus.PARTIAL, RunStatus.FAILED)
    by_name = {report.name: report for report in outcome.tasks}
    assert (by_name["good"].status, by_name["end"].status) == ("committed", "committed")
    reason = by_name["poison"].reason
    assert by_name["poison"].status == "failed"
    assert reason.startswith("3 attempts failed: ")
    assert reason.count("it is wrong") == 3
