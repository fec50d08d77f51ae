"""Votes at the table: work done by several who see nothing of one another, and the answer of most.

What is promised: with fewer than m liars, however they vote, no wrong answer is ever committed; and
who answered otherwise than those who agreed is known for it.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.core.ballot import RECOMPUTE, pledge_of
from pockethive.core.canonical import to_text
from pockethive.core.credibility import Credit, Seen, Standing
from pockethive.core.effects import KeepStanding, Publish, Send
from pockethive.core.entry import Ballot, Commit, Kind, Pledge
from pockethive.core.events import EntryArrived, TimerFired
from pockethive.core.fold import fold
from pockethive.core.graph import TaskGraph
from pockethive.core.message import AskOpening, LetGo, Made, Opened, Replicate
from pockethive.core.proof import prove_task
from pockethive.core.report import Outcome, RunStatus
from pockethive.core.spec import Limits
from pockethive.core.table_plan import TablePlan, right_output
from pockethive.core.task import Check, DeviceId, Policy, Verification
from pockethive.core.testing import Table
from pockethive.core.verification import satisfied
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    edge,
    entry,
    grants,
    output,
    planned,
    sha,
    sign,
    verify,
)
from tests.core.ledger_play import OWNER, WORKER, claim, of, opened, said

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
        assert len(report.holders) == 3  # both who answered, and one that was asked to hold it
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


@pytest.mark.parametrize("seed", range(4))
def test_votes_go_on_through_loss_doubled_messages_and_deaths(seed: int) -> None:
    played = table(
        f"storm {seed}",
        devices=DEVICES,
        loss=0.03,
        doubled=0.2,
        liars=frozenset(DEVICES[2:3]),
        crashes={DEVICES[3]: 1.0 + seed / 2},
    )
    outcome = played.run(TWICE)
    check(played, outcome)
    assert outcome.status is RunStatus.COMPLETED


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    least=st.integers(2, 3),
    order=st.permutations(range(7)),
    data=st.data(),
)
def test_fewer_than_m_liars_who_vote_alike_never_commit_a_wrong_answer(
    seed: int, least: int, order: list[int], data: st.DataObject
) -> None:
    count = data.draw(st.integers(2 * least - 1, 7))
    liars = data.draw(st.integers(0, least - 1))
    verification = replace(RECOMPUTED, verdicts=least - 1)
    devices = tuple(DEVICES[n] for n in order[:count])
    played = table(
        f"liars {seed}",
        devices=devices,
        liars=frozenset(devices[count - liars :]),
        alike=True,
        work_seconds=0.5 + seed % 3,
    )
    outcome = played.run(TaskGraph((planned("a", verification=verification),)))
    check(played, outcome)
    assert outcome.status is RunStatus.COMPLETED  # m honest devices are enough
    fallen = {each.device for each in seen(played) if each.seen is Seen.INVALID}
    assert fallen <= set(devices[count - liars :])


def test_answers_that_never_agree_end_the_task_and_are_counted() -> None:
    played = table("poison", devices=DEVICES, liars=frozenset(DEVICES))
    outcome = played.run(TaskGraph((planned("a", verification=RECOMPUTED),)))
    assert outcome.status is RunStatus.FAILED
    assert outcome.missing[0][1] == "7 devices gave 7 different answers, no 2 of them alike"
    assert not any(each.seen is Seen.INVALID for each in seen(played))  # nobody knows who erred


def test_too_few_devices_for_a_vote_are_told_so() -> None:
    played = table("alone", devices=DEVICES[:2])
    verification = replace(RECOMPUTED, verdicts=2)
    outcome = played.run(TaskGraph((planned("a", verification=verification),)))
    assert outcome.status is RunStatus.FAILED
    assert "3 devices that can do it are wanted" in outcome.missing[0][1]


def test_who_has_credit_is_believed_without_a_vote_and_the_owner_signs_for_it() -> None:
    trusted = tuple(
        Credit(device=device, model="", standing=Standing(10**6, 10**6, 0))
        for device in DEVICES[:5]
    )
    played = table("credit", secret=b"of the owner", credits=trusted)
    adaptive = replace(RECOMPUTED, adaptive=True)
    outcome = played.run(TaskGraph((planned("a", verification=adaptive),)))
    (report,) = outcome.tasks
    assert report.on_credit
    assert report.output == right_output("a")
    assert {Kind.WAIVER, Kind.OUTPUT} <= {receipt.kind for receipt in report.receipts}
    assert not any(
        isinstance(effect, Send) and isinstance(effect.message, Replicate)
        for line in played.transcript
        for effect in line.effects
    )


# a lazy device, which would rather copy


def replicated() -> tuple[Any, Any, Any]:
    """A ledger, its one task that is voted on and claimed, and who is asked to do it again."""
    ledger, (task, *_) = opened(
        graph=TaskGraph((planned("a", verification=RECOMPUTED),)), attempts=5
    )
    ledger.handle(TimerFired(name="tick"), 0.2)
    claimed = claim(task, 1, grants=grants(task, WORKER))
    sent = of(Send, ledger.handle(said(WORKER, claimed), 0.5))
    asked = [send for send in sent if isinstance(send.message, Replicate)]
    assert len(asked) == 1
    assert all(isinstance(send.message, LetGo) for send in sent if send not in asked)
    return ledger, task, asked[0].to


def promise(task: Any, who: DeviceId, nonce: str, made: str, author: DeviceId | None = None) -> Any:
    body = Pledge(task=task.id, epoch=1, pledge=pledge_of(task.id, who, nonce, made))
    return Made(entry=entry(author or who, body))


def nonce(text: str) -> str:
    return to_text(bytes.fromhex(sha(text)))


def test_a_pledge_that_was_copied_opens_nothing_and_costs_the_copier_its_name() -> None:
    ledger, task, lazy = replicated()
    ledger.handle(said(WORKER, promise(task, WORKER, nonce("w"), sha("right"))), 1.0)
    copied = promise(task, WORKER, nonce("w"), sha("right"), author=lazy)
    asked = of(Send, ledger.handle(said(lazy, copied), 1.1))
    assert {send.to for send in asked} == {WORKER, lazy}
    assert {type(send.message) for send in asked} == {AskOpening}
    shown = Opened(task=task.id, nonce=nonce("w"), output=sha("right"))
    assert not of(KeepStanding, ledger.handle(said(WORKER, shown), 1.2))
    told = ledger.handle(said(lazy, shown), 1.3)  # even with what opens the other's
    (fell,) = of(KeepStanding, told)
    assert (fell.device, fell.seen) == (lazy, Seen.INVALID)
    assert "another answer than it had pledged" in fell.reason
    (asked_next,) = [send.to for send in of(Send, told) if isinstance(send.message, Replicate)]
    assert asked_next not in (WORKER, lazy)


def test_a_pledge_that_comes_once_the_ballot_stands_is_no_vote() -> None:
    ledger, task, other = replicated()
    for who in (WORKER, other):
        ledger.handle(said(who, promise(task, who, nonce(who), sha("right"))), 1.0)
    effects: list[Any] = []
    for who in (WORKER, other):
        shown = Opened(task=task.id, nonce=nonce(who), output=sha("right"))
        effects += ledger.handle(said(who, shown), 1.1)
    (publish,) = of(Publish, tuple(effects))
    assert isinstance(publish.body, Ballot)
    ledger.handle(EntryArrived(entry=entry(OWNER, publish.body)), 1.2)
    late = next(d for d in DEVICES[:4] if d not in (OWNER, WORKER, other))
    assert not ledger.handle(said(late, promise(task, late, nonce("l"), sha("right"))), 1.3)
    made = output(task.id, WORKER)
    proof = (
        entry(OWNER, publish.body),
        *(promise(task, who, nonce(who), sha("right")).entry for who in (WORKER, other)),
    )
    assert satisfied(task, made, proof)
    forged = replace(
        publish.body, votes=tuple(sorted(((WORKER, nonce(WORKER)), (late, nonce("l")))))
    )
    with_late = (*proof[1:2], promise(task, late, nonce("l"), sha("right")).entry)
    assert not satisfied(task, made, (entry(late, forged), *with_late))  # no owner's ballot
    assert not satisfied(task, made, (entry(OWNER, publish.body), *with_late))
    assert not satisfied(task, made, proof[:2])  # one pledge is missing
    assert not satisfied(task, output(task.id, WORKER, text="wrong"), proof)


def test_a_device_that_is_cut_off_in_the_middle_does_not_stop_the_vote() -> None:
    played = table("silent", cuts=((1.6, 3.0, frozenset(DEVICES[2:3])),))
    outcome = played.run(TWICE)
    check(played, outcome)
    assert outcome.status is RunStatus.COMPLETED


def test_a_device_that_says_nothing_is_asked_again_and_not_for_ever() -> None:
    ledger, task, other = replicated()
    asked = []
    for tick in range(1, 120):
        ledger.handle(said(WORKER, claim(task, 1, grants=grants(task, WORKER))), tick / 2)
        effects = ledger.handle(TimerFired(name="tick"), 0.5 + tick / 2)
        asked += [e.to for e in of(Send, effects) if isinstance(e.message, Replicate)]
    assert asked.count(other) >= 2
    assert max(asked.count(device) for device in asked) <= 8
