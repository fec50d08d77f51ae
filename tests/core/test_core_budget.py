"""Budgets: what a run may cost at most, and how it ends when that is used up."""

from dataclasses import replace
from heapq import heappop
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.effects import AskWitness, RunSkill, WorkHere
from pockethive.core.entry import Kind, Output
from pockethive.core.entry_codec import MAX_TOKENS, decode_body, encode_body
from pockethive.core.errors import BadEncoding
from pockethive.core.events import CancelRequested, GoalSubmitted
from pockethive.core.graph import TaskGraph
from pockethive.core.lease import FreeLease
from pockethive.core.ledger_budget import FINISH_SECONDS
from pockethive.core.report import Outcome, RunStatus
from pockethive.core.spec import Limits
from pockethive.core.table_plan import TablePlan
from pockethive.core.task import DeviceId
from pockethive.core.testing import Table
from tests.core.core_play import DEVICES, OWNER_KEY, edge, make_task, planned, sha, sign, verify
from tests.core.ledger_play import of
from tests.core.test_core_local import HERE, done, ledger, reports

CHAIN = TaskGraph((planned("t1"), *(planned(f"t{n}", (edge(f"t{n - 1}"),)) for n in range(2, 7))))
TASK = make_task().id
MADE = Output(task=TASK, epoch=1, output=sha("x"), size=5, model="", inputs=())
WIDE = TaskGraph(tuple(planned(f"t{n}") for n in range(6)))


def table(seed: str, limits: Limits, **changes: Any) -> Table:
    parts: dict[str, Any] = {
        "seed": seed,
        "devices": DEVICES[:5],
        "owner_key": OWNER_KEY,
        "skills": ("search",),
        "checkers": ("quotation",),
        "limits": limits,
        "tokens": 1_000,
    }
    return Table(TablePlan(**{**parts, **changes}), sign, verify)


def committed(outcome: Outcome) -> list[str]:
    return [report.name for report in outcome.tasks if report.status == "committed"]


def began(played: Table) -> int:
    return sum(isinstance(e, RunSkill) for line in played.transcript for e in line.effects)


def test_tokens_that_are_used_up_end_a_run_with_what_it_has_and_begin_nothing_new() -> None:
    played = table("tokens", Limits(timeout_seconds=300, tokens=2_500))
    outcome = played.run(CHAIN)
    assert outcome.status is RunStatus.PARTIAL
    assert outcome.reason == "tokens: 3,000 of 2,500 used"
    assert committed(outcome) == ["t1", "t2", "t3"], "the third was under way, and could end"
    assert began(played) == 3
    assert {reason for _, reason in outcome.missing} == {outcome.reason}
    assert outcome.seconds < 60


def test_a_budget_that_is_just_enough_completes_a_run() -> None:
    outcome = table("just", Limits(timeout_seconds=300, tokens=6_000)).run(CHAIN)
    assert (outcome.status, outcome.reason) == (RunStatus.COMPLETED, "")


def test_executions_and_judgements_count_together() -> None:
    played = table("replication", Limits(timeout_seconds=300, replication=4))
    outcome = played.run(CHAIN)
    assert outcome.status is RunStatus.PARTIAL
    assert outcome.reason == "replication: 4 of 4 used"
    assert committed(outcome) == ["t1", "t2"]


def test_what_is_rejected_costs_as_much_as_what_counts() -> None:
    limits = Limits(timeout_seconds=300, tokens=4_000, attempts=20)
    liars = frozenset(DEVICES[1:3])
    outcome = table("wasted", limits, liars=liars).run(CHAIN)
    honest = table("wasted", limits).run(CHAIN)
    assert outcome.status is honest.status is RunStatus.PARTIAL
    assert len(committed(outcome)) < len(committed(honest)) == 4


def test_what_is_under_way_may_end_but_not_for_ever() -> None:
    slow = {"t5": FINISH_SECONDS * 5}
    limits = Limits(timeout_seconds=300, tokens=2_000)
    played = table("slow", limits, durations=slow)
    outcome = played.run(WIDE)
    assert outcome.status is RunStatus.PARTIAL
    assert "t5" not in committed(outcome)
    assert FINISH_SECONDS < outcome.seconds < 2 * FINISH_SECONDS


def test_a_run_that_is_cancelled_gives_its_leases_back() -> None:
    played = table("cancelled", Limits(timeout_seconds=300), work_seconds=100.0)
    cancelled: set[DeviceId] = set()

    def cancel() -> None:
        cancelled.update(
            line.device
            for line in played.transcript
            if any(isinstance(effect, RunSkill) for effect in line.effects)
        )
        events = [line.event for line in played.transcript]
        run = next(event.run for event in events if isinstance(event, GoalSubmitted))
        played.feed(DEVICES[0], CancelRequested(run=run, reason="enough"))

    played._at(10.0, cancel)
    outcome = played.run(WIDE)
    assert outcome.status is RunStatus.CANCELLED
    while played.now < 15.0:  # the letters that tell of it are on their way
        played.now, _, action = heappop(played._queue)
        action()
    freed = {
        line.device
        for line in played.transcript
        if any(isinstance(e, AskWitness) and isinstance(e.request, FreeLease) for e in line.effects)
    }
    assert cancelled
    assert cancelled <= freed


def test_a_lonely_owner_s_agents_get_no_more_than_the_budget_allows() -> None:
    graph = TaskGraph(tuple(planned(f"t{n}", **HERE) for n in range(9)))
    book, effects = ledger(graph, replication=4)
    orders = of(WorkHere, effects)
    assert len(orders) == 4
    for second, order in enumerate(orders, 1):
        effects += book.handle(replace(done(order), tokens=5), float(second))
    assert len(of(WorkHere, effects)) == 4
    ends = [report.status for report in reports(effects)]
    assert (ends.count("committed"), ends.count("cancelled")) == (4, 5)


@given(st.integers(0, MAX_TOKENS))
def test_an_output_says_what_it_cost_and_nothing_where_it_cost_nothing(tokens: int) -> None:
    body = replace(MADE, tokens=tokens)
    data = encode_body(body)
    assert decode_body(Kind.OUTPUT, data) == body
    assert (b"tokens" in data) == bool(tokens)


def test_a_cost_of_nothing_that_is_written_out_is_refused() -> None:
    data = encode_body(replace(MADE, tokens=1))
    with pytest.raises(BadEncoding, match="tokens"):
        decode_body(Kind.OUTPUT, data.replace(b'"tokens":1', b'"tokens":0'))
