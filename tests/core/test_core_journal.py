"""The journal of coordinator and ledger: replayed exactly, and enough to go on after any crash."""

import random
from collections import Counter
from typing import Any

import pytest

from pockethive.core.ballot import RECOMPUTE
from pockethive.core.credibility import Credit, Standing
from pockethive.core.effects import Effect, FinishRun, RunSkill, forwarded
from pockethive.core.entry import Commit, Output
from pockethive.core.events import Event
from pockethive.core.graph import TaskGraph
from pockethive.core.replay import MACHINES, concerns
from pockethive.core.report import Outcome, RunStatus
from pockethive.core.ruling import HUMAN
from pockethive.core.spec import Limits
from pockethive.core.task import Check, EdgeKind, Policy, Verification
from tests.core.core_play import DEVICES, edge, planned, research
from tests.core.journal_play import FIRST_ROWS, JournalTable, commits, plan

ADAPTIVE = Verification(checks=(Check(Policy.CHECK, "quotation"),), adaptive=True)
ASKED = Verification(checks=(Check(Policy.HUMAN, HUMAN),))
VOTED = Verification(checks=(Check(Policy.RECOMPUTE, RECOMPUTE),))
WIDE = TaskGraph(
    (
        *(planned(f"a-{n}") for n in range(4)),
        planned("b", (edge("a-0", "a-1", kind=EdgeKind.AT_LEAST, count=1), edge("a-2"))),
        planned("c", (edge("b", "a-3"),)),
    )
)
CREDITS = tuple(Credit(device=each, model="", standing=Standing(40, 40, 0)) for each in DEVICES[:4])
PLAYS: dict[str, tuple[dict[str, Any], TaskGraph]] = {
    "quiet": ({}, research(DEVICES[1:4])),
    "lossy": ({"loss": 0.05, "doubled": 0.1}, WIDE),
    "a witness dies": ({"count": 7, "crashes": {DEVICES[3]: 2.0, DEVICES[4]: 2.5}}, WIDE),
    "all witnesses die": ({"count": 5, "crashes": dict.fromkeys(DEVICES[1:4], 3.0)}, WIDE),
    "liars": ({"count": 5, "liars": frozenset(DEVICES[1:2])}, WIDE),
    "on credit": (
        {"secret": b"of the owner", "credits": CREDITS},
        TaskGraph(tuple(planned(f"a-{n}", verification=ADAPTIVE) for n in range(6))),
    ),
    "alone with two": ({"count": 3}, WIDE),
    "a budget": ({"tokens": 100, "limits": Limits(timeout_seconds=400, tokens=300)}, WIDE),
    "a person": (
        {"liars": frozenset(DEVICES[1:2]), "thinking": 1.5},
        TaskGraph(
            (
                *(planned(f"a-{n}", verification=ASKED) for n in range(2)),
                planned("b", (edge("a-0", "a-1"),), verification=ASKED),
            )
        ),
    ),
    "votes": (
        {"count": 5, "liars": frozenset(DEVICES[1:2])},
        TaskGraph(
            (
                *(planned(f"a-{n}", verification=VOTED) for n in range(2)),
                planned("b", (edge("a-0", "a-1"),), verification=VOTED),
            )
        ),
    ),
}


def played(
    name: str, cuts: frozenset[int] = frozenset(), seed: str = "", forgets: int = 0
) -> JournalTable:
    changes, graph = PLAYS[name]
    changes = {"limits": Limits(timeout_seconds=400), **changes}
    count = changes.pop("count", 4)
    table = JournalTable(plan(f"journal {name} {seed}", count, **changes), cuts, forgets)
    table.run(graph)
    return table


@pytest.mark.parametrize("name", PLAYS)
def test_a_replay_gives_every_effect_again_in_its_order(name: str) -> None:
    table = played(name)
    lines = [
        (line.machine, line.event, line.effects)
        for line in table.transcript
        if line.device == table.owner
        and line.machine in MACHINES
        and concerns(line.machine, line.event)
    ]
    seen: list[tuple[str, Event, tuple[Effect, ...]]] = []
    done, _ = table.replayed(
        lambda machine, event, _, effects: seen.append((machine, event, effects))
    )
    assert seen == lines
    assert done.steps == len(table.steps) > 30
    assert list(done.outcomes.values()) == [table.outcome]
    told = sum(forwarded(effect) is not None for _, _, effects in lines for effect in effects)
    assert told >= 4  # what one says to the other is not written, and still follows


def test_a_row_is_small_and_a_run_writes_its_graph_once() -> None:
    table = played("lossy")
    sizes = sorted(len(step.row) for step in table.steps)
    assert sizes[len(sizes) // 2] < 600
    assert sizes[-1] < 8_000
    graphs = [step for step in table.steps if step.row.startswith(b'[2,"graph"')]
    assert len(graphs) == 1


def holds(table: JournalTable, outcome: Outcome) -> None:
    """What was committed before a crash stays, and nothing of it is done again."""
    where = f"{table.plan.seed!r}, cuts {sorted(table.cuts)}"
    reports = {str(report.id): report for report in outcome.tasks}
    for task, (epoch, output) in table.stood.items():
        assert commits(table)[task] == (epoch, output), where
        if task in reports:
            assert (str(reports[task].epoch), reports[task].output) == (epoch, output), where
            made = [e.body for e in reports[task].receipts if isinstance(e.body, Output)]
            assert [one.output for one in made] == [output], where
    worked = Counter(
        (effect.task.id, effect.epoch)
        for line in table.transcript
        for effect in line.effects
        if isinstance(effect, RunSkill)
    )
    assert max(worked.values()) == 1, where
    accepted: dict[str, set[str]] = {}
    for entries in table.entries.values():
        for entry in entries.values():
            if isinstance(entry.body, Commit):
                accepted.setdefault(entry.body.task, set()).add(entry.body.output)
    assert all(len(values) == 1 for values in accepted.values()), where
    ends = [e for line in table.transcript for e in line.effects if isinstance(e, FinishRun)]
    assert len(ends) <= 1, where


@pytest.mark.parametrize("name", PLAYS)
def test_an_owner_that_dies_at_any_row_ends_its_run_and_redoes_nothing_committed(name: str) -> None:
    rows = len(played(name).steps)
    dice = random.Random(name)
    for cut in sorted(dice.sample(range(FIRST_ROWS, rows + 1), min(15, rows - FIRST_ROWS))):
        table = played(name, frozenset((cut,)))
        assert table.crashes == 1, cut
        assert table.outcome is not None
        holds(table, table.outcome)
        if name != "all witnesses die":
            right = RunStatus.PARTIAL if name == "a budget" else RunStatus.COMPLETED
            assert table.outcome.status is right, (cut, table.outcome.reason)


def test_it_survives_one_crash_after_another() -> None:
    for seed in range(3):
        cuts = frozenset(random.Random(seed).sample(range(FIRST_ROWS, 150), 6))
        table = played("lossy", cuts, str(seed))
        assert table.crashes >= 3
        assert table.outcome is not None
        holds(table, table.outcome)
        assert table.outcome.status is RunStatus.COMPLETED, (seed, table.outcome.reason)


def test_power_that_is_lost_with_the_last_rows_costs_work_and_nothing_committed() -> None:
    """The machines are then older than what the others have seen of them."""
    for seed in range(8):
        dice = random.Random(seed)
        cuts = frozenset(dice.sample(range(FIRST_ROWS, 60), 2))
        table = played("lossy" if seed % 2 else "quiet", cuts, str(seed), dice.randrange(1, 25))
        assert table.crashes
        assert table.outcome is not None
        holds(table, table.outcome)
        assert table.outcome.status is RunStatus.COMPLETED, (seed, table.outcome.reason)
