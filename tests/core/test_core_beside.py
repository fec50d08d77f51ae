"""A commit brings along what others signed about it, and they hear that they need not do it."""

from pockethive.core.effects import Publish, Spare
from pockethive.core.entry import Commit, Kind, Output, Verdict
from pockethive.core.graph import TaskGraph
from pockethive.core.report import RunStatus
from pockethive.core.table_plan import TablePlan
from pockethive.core.testing import Table
from tests.core.core_play import DEVICES, OWNER_KEY, edge, planned, sign, verify
from tests.core.test_core_last_word import falls_asleep, graph

OWNER = DEVICES[0]


def played(seed: str) -> Table:
    plan = TablePlan(
        seed=seed,
        devices=DEVICES[:6],
        owner_key=OWNER_KEY,
        skills=("search",),
        checkers=("quotation",),
    )
    return Table(plan, sign, verify)


def test_a_commit_has_the_output_and_the_verdicts_on_it_beside_it() -> None:
    table = played("beside")
    outcome = table.run(TaskGraph((planned("one"),)))
    assert outcome.status is RunStatus.COMPLETED
    effects = [effect for line in table.transcript for effect in line.effects]
    published = [effect for effect in effects if isinstance(effect, Publish)]
    assert not any(effect.beside for effect in published if effect.kind is not Kind.COMMIT)
    (commit,) = (effect for effect in published if effect.kind is Kind.COMMIT)
    assert isinstance(commit.body, Commit)
    output, *verdicts = (entry.body for entry in commit.beside)
    assert isinstance(output, Output)
    assert output.output == commit.body.output
    assert verdicts
    assert all(isinstance(verdict, Verdict) for verdict in verdicts)


def test_maker_and_verifiers_need_not_store_what_was_brought_along() -> None:
    table = played("spared")
    outcome = table.run(TaskGraph((planned("one"), planned("two", (edge("one"),)))))
    report = next(report for report in outcome.tasks if report.name == "one")
    spared = {
        (line.device, effect.task, effect.output)
        for line in table.transcript
        for effect in line.effects
        if isinstance(effect, Spare)
    }
    judges = {e.author for e in report.receipts if isinstance(e.body, Verdict)}
    assert report.worker is not None
    assert spared >= {(who, report.id, report.output) for who in (report.worker, *judges)}


def test_a_commit_that_its_owner_did_not_publish_spares_nobody() -> None:
    table = falls_asleep("asleep beside", 1)
    table.run(graph(1), seconds=7_200.0)
    first = next(
        line.at
        for line in table.transcript
        for effect in line.effects
        if isinstance(effect, Publish) and effect.kind is Kind.COMMIT and line.device != OWNER
    )
    spared = [
        line.at for line in table.transcript for effect in line.effects if isinstance(effect, Spare)
    ]
    assert all(at > first + 60 for at in spared), "once the owner is awake again, if at all"
