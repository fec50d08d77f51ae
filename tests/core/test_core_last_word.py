"""An owner that falls asleep while outputs are verified: the last verifier has them committed."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from pockethive.core.effects import AskWitness, Publish, Send
from pockethive.core.entry import Commit, Entry, Kind
from pockethive.core.graph import TaskGraph
from pockethive.core.last_word import LastWord
from pockethive.core.message import VerifyOffer
from pockethive.core.report import RunStatus
from pockethive.core.spec import Limits
from pockethive.core.table_plan import TablePlan, right_output
from pockethive.core.task import Committee
from pockethive.core.testing import Table
from tests.core.core_play import (
    CHECKED,
    DEVICES,
    OWNER_KEY,
    entry,
    make_task,
    output,
    planned,
    sign,
    verdict,
    verify,
)

OWNER, WORKER, OTHER, THIRD = DEVICES[:4]
HOUR = 3_600.0


def table(seed: str, **changes: Any) -> Table:
    parts: dict[str, Any] = {
        "seed": seed,
        "devices": DEVICES[:5],
        "owner_key": OWNER_KEY,
        "skills": ("search",),
        "checkers": ("quotation",),
        "limits": Limits(timeout_seconds=3 * 3_600),
    }
    return Table(TablePlan(**{**parts, **changes}), sign, verify)


def graph(verdicts: int) -> TaskGraph:
    how = replace(CHECKED, verdicts=verdicts)
    return TaskGraph((planned("only", place=WORKER, verification=how),))


def falls_asleep(seed: str, verdicts: int, **changes: Any) -> Table:
    """A table at which the owner sleeps an hour from when it has asked others for all verdicts."""
    for turn in count():
        name = f"{seed}, turn {turn}"
        awake = table(name, **changes)
        awake.run(graph(verdicts))
        offers = [
            (line.at, effect.to)
            for line in awake.transcript
            for effect in line.effects
            if isinstance(effect, Send) and isinstance(effect.message, VerifyOffer)
        ]
        if OWNER not in {to for _, to in offers}:  # else its own verdict is missing
            at, _ = offers[verdicts - 1]
            return table(name, sleeps={OWNER: ((at + 0.001, at + HOUR),)}, **changes)
    raise AssertionError


@pytest.mark.parametrize("verdicts", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_an_owner_that_sleeps_an_hour_finds_the_task_committed_and_follows(
    seed: int, verdicts: int
) -> None:
    played = falls_asleep(f"sleeps {seed}", verdicts)
    outcome = played.run(graph(verdicts), seconds=2 * HOUR)
    assert outcome.status is RunStatus.COMPLETED, played.plan.seed
    (report,) = outcome.tasks
    assert (report.epoch, report.attempts) == (1, 1)
    assert report.output == right_output("only")
    assert len(report.holders) >= 1 + verdicts
    committed = [
        (line.at, line.device)
        for line in played.transcript
        for effect in line.effects
        if isinstance(effect, Publish) and effect.kind is Kind.COMMIT
    ]
    first, who = committed[0]
    assert who not in (OWNER, WORKER)
    assert first < 60
    entries = played.entries[report.id].values()
    assert len({e.body.output for e in entries if isinstance(e.body, Commit)}) == 1


def test_a_silent_owner_in_a_lossy_network_loses_nothing_either() -> None:
    for seed in range(3):
        played = falls_asleep(f"lossy sleep {seed}", 1, loss=0.1, doubled=0.1)
        outcome = played.run(graph(1), seconds=2 * HOUR)
        assert outcome.status is RunStatus.COMPLETED, played.plan.seed


def test_where_the_owner_answers_no_verifier_asks_for_a_commit() -> None:
    played = table("awake")
    played.run(graph(2))
    asked = {
        line.device
        for line in played.transcript
        for effect in line.effects
        if isinstance(effect, AskWitness) and type(effect.request).__name__ == "AskCommit"
    }
    assert asked == {OWNER}


def test_it_asks_with_sufficient_verdicts_alone_and_not_once_the_task_has_ended() -> None:
    task = make_task(verdicts=2)
    made, signed = output(task.id, WORKER), entry(OWNER, task)
    own, other = verdict(made, OTHER), verdict(made, THIRD)
    last = LastWord(task, made, verify)
    known: tuple[Entry, ...] = (signed, made)
    assert last.sufficient(known, own) is None
    assert last.sufficient((*known, verdict(made, WORKER)), own) is None
    assert last.sufficient((*known, verdict(made, THIRD, accept=False)), own) is None
    request = last.sufficient((*known, other), own)
    assert request is not None
    assert set(request.evidence) == {made, own, other}
    heirs = Committee(witnesses=DEVICES[1:5], quorum=3)
    moved = entry(OWNER, replace(task, committee=heirs))
    assert last.sufficient((moved, made, other), own) is None, "other witnesses have taken over"
