"""Votes at the table: work done by several who see nothing of one another, and the answer of most.

What is promised: with fewer than m liars, however they vote, no wrong answer is ever committed; and
who answered otherwise than those who agreed is known for it.
"""

from typing import Any

import pytest

from pockethive.core.ballot import RECOMPUTE
from pockethive.core.credibility import Seen
from pockethive.core.effects import KeepStanding, Send
from pockethive.core.entry import Ballot, Commit, Kind
from pockethive.core.events import EntryArrived
from pockethive.core.fold import fold
from pockethive.core.graph import TaskGraph
from pockethive.core.message import Made
from pockethive.core.proof import prove_task
from pockethive.core.report import Outcome, RunStatus
from pockethive.core.spec import Limits
from pockethive.core.table_plan import TablePlan, right_output
from pockethive.core.task import Check, Policy, Verification
from pockethive.core.testing import Table
from tests.core.core_play import DEVICES, OWNER_KEY, edge, planned, sign, verify

RECOMPUTED = Verification(checks=(Check(Policy.RECOMPUTE, RECOMPUTE),), verdicts=1)
TWICE = TaskGraph(
    (
        planned("a", verification=RECOMPUTED),
        planned("b", verification=RECOMPUTED),
        planned("c", (edge("a", "b"),), verification=RECOMPUTED),
    )
)


def table(seed: str, **changes: Any) -> Table:
    parts: dict[str, Any] = {
        "seed": seed,
        "devices": DEVICES[:5],
        "owner_key": OWNER_KEY,
        "skills": ("search",),
        "checkers": (),
        "limits": Limits(timeout_seconds=400, attempts=5),
    }
    return Table(TablePlan(**{**parts, **changes}), sign, verify)


def seen(played: Table) -> list[KeepStanding]:
    return [e for line in played.transcript for e in line.effects if isinstance(e, KeepStanding)]


def check(played: Table, outcome: Outcome) -> None:
    """What holds after every vote, however it went."""
    where = f"seed {played.plan.seed}"
    for report in outcome.tasks:
        entries = list(played.entries.get(report.id, {}).values())
        committed = {e.body.output for e in entries if isinstance(e.body, Commit)}
        assert committed <= {right_output(report.name)}, where
        views = [fold(said, verify, report.id) for said in (entries, entries[::-1])]
        assert views[0] == views[1], where
        if report.status != "committed":
            continue
        assert views[0] is not None, where
        assert report.output == views[0].output, where
        proof = prove_task(report.id, report.receipts, verify)
        assert proof.committed, where
        assert len(proof.verifiers) >= report.task.verification.verdicts, where
        assert report.worker not in proof.verifiers, where


def test_two_who_answer_alike_commit_and_neither_saw_the_others_answer() -> None:
    played = table("alike")
    outcome = played.run(TWICE)
    check(played, outcome)
    assert outcome.status is RunStatus.COMPLETED
    assert all(report.attempts == 1 for report in outcome.tasks)
    assert outcome.seconds < 8
    for report in outcome.tasks:
        kinds = [receipt.kind for receipt in report.receipts]
        assert kinds.count(Kind.BALLOT) == 1
        assert kinds.count(Kind.PLEDGE) == 2
        assert Kind.VERDICT not in kinds
        assert len(report.holders) == 2
    assert [each.seen for each in seen(played)] == [Seen.VALID] * 6


def test_nothing_that_could_be_copied_leaves_for_anybody_but_the_owner_before_the_ballot() -> None:
    played = table("blind", liars=frozenset(DEVICES[2:3]))
    outcome = played.run(TWICE)
    for report in outcome.tasks:
        shown = {
            right_output(report.name),
            *(right_output(report.name, f" by {device}") for device in DEVICES),
        }
        for line in played.transcript:
            stands = line.event.entry.body if isinstance(line.event, EntryArrived) else None
            if isinstance(stands, Ballot) and stands.task == report.id:
                break
            for effect in line.effects:
                if isinstance(effect, Send) and effect.to != DEVICES[0]:
                    assert not any(sha in repr(effect.message) for sha in shown), line


@pytest.mark.parametrize("seed", range(6))
def test_a_worker_who_is_outvoted_loses_its_lease_to_one_who_has_the_answer(seed: int) -> None:
    played = table(f"outvoted {seed}", liars=frozenset(DEVICES[1:2]))
    outcome = played.run(TWICE)
    check(played, outcome)
    assert outcome.status is RunStatus.COMPLETED
    fallen = [each for each in seen(played) if each.seen is Seen.INVALID]
    assert {each.device for each in fallen} <= {DEVICES[1]}
    assert all("devices agreed on another answer" in each.reason for each in fallen)
    worked = [
        effect.message.entry.author
        for line in played.transcript
        for effect in line.effects
        if isinstance(effect, Send)
        and isinstance(effect.message, Made)
        and effect.message.entry.kind is Kind.OUTPUT
    ]
    assert DEVICES[1] not in worked  # it never came to sign what was outvoted
