"""Whole runs at the table: every machine, a bad network, dying and lying devices."""

from collections import Counter
from typing import Any

import pytest

from pockethive.core.entry import Commit, Kind
from pockethive.core.errors import Failure
from pockethive.core.events import CancelRequested
from pockethive.core.fold import fold
from pockethive.core.graph import TaskGraph
from pockethive.core.labels import Label
from pockethive.core.lifecycle import Status
from pockethive.core.polling import Poll
from pockethive.core.report import Outcome, RunStatus
from pockethive.core.spec import Limits
from pockethive.core.table_plan import TablePlan, right_output
from pockethive.core.task import DeviceId, RunId
from pockethive.core.testing import Table
from tests.core.core_play import DEVICES, OWNER_KEY, edge, planned, research, sign, verify

OWNER = DEVICES[0]
CHAIN = TaskGraph(
    (
        planned("a"),
        planned("b", (edge("a"),)),
        planned("c", (edge("b"),)),
        planned("d", (edge("c"),)),
    )
)


def table(seed: str, count: int = 4, **changes: Any) -> Table:
    parts: dict[str, Any] = {
        "seed": seed,
        "devices": DEVICES[:count],
        "owner_key": OWNER_KEY,
        "skills": ("search",),
        "checkers": ("quotation",),
    }
    return Table(TablePlan(**{**parts, **changes}), sign, verify)


def check(played: Table, outcome: Outcome) -> None:
    """What holds after every run, however it went."""
    where = f"seed {played.plan.seed}"
    for report in outcome.tasks:
        entries = played.entries.get(report.id, {}).values()
        view = fold(entries, verify, report.id)
        assert view is not None, where
        committed = {
            e.body.output for e in entries if e.kind is Kind.COMMIT and isinstance(e.body, Commit)
        }
        assert len(committed) <= 1, f"{where}: two outputs committed for {report.name}"
        assert (view.status is Status.COMMITTED) == (report.status == "committed"), where
        if report.status == "committed":
            assert report.output == view.output == right_output(report.name), where
            assert report.worker not in report.holders[1:], where
            assert len(report.holders) >= 2, where
            kinds = Counter(receipt.kind for receipt in report.receipts)
            assert kinds[Kind.OUTPUT] == kinds[Kind.COMMIT] == 1, where
            assert kinds[Kind.TASK] == kinds[Kind.SEAL] + 1, where
    assert (
        len(outcome.tasks)
        + sum(r not in {t.name for t in outcome.tasks} for r, _ in outcome.missing)
        == 5
    )


def test_a_quiet_run_commits_every_task_once_and_fast() -> None:
    played = table("quiet")
    outcome = played.run(research(DEVICES[1:4]))
    check(played, outcome)
    assert outcome.status is RunStatus.COMPLETED
    assert outcome.sinks == ("answer",)
    assert outcome.seconds < 3 * (1.2 + 0.5) + 3
    assert all(report.epoch == 1 and report.attempts == 1 for report in outcome.tasks)
    assert {"offered", "claimed", "made", "verified", "committed"} <= {
        effect.happening.what
        for line in played.transcript
        for effect in line.effects
        if hasattr(effect, "happening")
    }


def test_one_seed_is_one_transcript() -> None:
    first, second = (table("again", loss=0.05, doubled=0.1) for _ in range(2))
    first.run(research(DEVICES[1:4]))
    second.run(research(DEVICES[1:4]))
    assert first.transcript == second.transcript


@pytest.mark.parametrize("seed", range(10))
def test_a_device_that_dies_is_named_missing_and_the_rest_is_answered(seed: int) -> None:
    played = table(f"dies {seed}", crashes={DEVICES[2]: 0.3 + 0.05 * seed})
    outcome = played.run(research(DEVICES[1:4]))
    check(played, outcome)
    assert outcome.status is RunStatus.PARTIAL
    assert [name for name, _ in outcome.missing] == ["search-2"]
    assert "stopped answering" in outcome.missing[0][1]
    assert outcome.seconds < 15


@pytest.mark.parametrize("seed", range(10))
def test_loss_and_doubling_slow_a_run_but_break_nothing(seed: int) -> None:
    played = table(f"lossy {seed}", loss=0.05, doubled=0.2)
    outcome = played.run(research(DEVICES[1:4]))
    check(played, outcome)
    assert outcome.status in (RunStatus.COMPLETED, RunStatus.PARTIAL)


@pytest.mark.parametrize("seed", range(6))
def test_a_large_hive_survives_deaths_lies_and_loss_together(seed: int) -> None:
    played = table(
        f"storm {seed}",
        count=7,
        loss=0.02,
        doubled=0.1,
        crashes={DEVICES[3]: 2.0 + seed, DEVICES[4]: 1.0},
        liars=frozenset({DEVICES[5]}),
    )
    outcome = played.run(research(DEVICES[1:4]))
    check(played, outcome)
    assert outcome.status in (RunStatus.COMPLETED, RunStatus.PARTIAL)


@pytest.mark.parametrize("seed", range(4))
def test_a_worker_that_dies_with_an_unplaced_task_is_replaced(seed: int) -> None:
    graph = TaskGraph((planned("only"),))
    dead = table(f"worker {seed}").run(graph).tasks[0].worker
    assert dead is not None
    if dead == OWNER:
        return
    played = table(f"worker {seed}", crashes={dead: 0.5})
    outcome = played.run(graph)
    assert outcome.status is RunStatus.COMPLETED
    assert outcome.tasks[0].worker not in (None, dead)
    assert outcome.tasks[0].epoch > 1
    assert outcome.seconds < 40


def test_a_liars_output_is_rejected_and_made_by_another() -> None:
    graph = TaskGraph((planned("only"),))
    liar = table("liar").run(graph).tasks[0].worker
    assert liar is not None
    played = table("liar", liars=frozenset({liar}))
    outcome = played.run(graph)
    assert outcome.status is RunStatus.COMPLETED
    report = outcome.tasks[0]
    assert report.worker != liar
    assert any("rejected" in line for line in report.story)


@pytest.mark.parametrize("grudger", DEVICES[:4], ids=["owner", "first", "second", "third"])
def test_one_device_that_rejects_everything_costs_no_output(grudger: DeviceId) -> None:
    played = table("grudge", grudgers=frozenset({grudger}))
    outcome = played.run(research(DEVICES[1:4]))
    check(played, outcome)
    assert outcome.status is RunStatus.COMPLETED
    assert [report.attempts for report in outcome.tasks] == [1] * len(outcome.tasks)


def test_two_devices_that_reject_end_a_task_with_their_reason() -> None:
    played = table("grudges", count=3, grudgers=frozenset(DEVICES[:3]))
    outcome = played.run(TaskGraph((planned("only"),)))
    assert outcome.status is RunStatus.FAILED
    assert "it is wrong" in outcome.tasks[0].reason


def test_a_liar_with_a_placed_task_ends_it_as_failed_with_the_reason() -> None:
    played = table("placed liar", liars=frozenset({DEVICES[2]}))
    outcome = played.run(research(DEVICES[1:4]))
    by_name = {report.name: report for report in outcome.tasks}
    assert by_name["search-2"].status == "failed"
    assert "it is wrong" in by_name["search-2"].reason
    assert outcome.status is RunStatus.PARTIAL


def test_a_hive_of_two_verifies_and_commits_with_the_owner_as_only_witness() -> None:
    played = table("two", count=2)
    outcome = played.run(TaskGraph((planned("only"),)))
    assert outcome.status is RunStatus.COMPLETED
    assert outcome.tasks[0].task.committee.witnesses == (OWNER,)


def test_a_device_alone_is_told_that_nobody_can_verify() -> None:
    outcome = table("alone", count=1).run(TaskGraph((planned("only"),)))
    assert outcome.status is RunStatus.FAILED
    assert "no other device here can verify it (quotation)" in outcome.reason


def test_a_device_alone_attests_what_stays_on_it() -> None:
    graph = TaskGraph((planned("only", label=Label.DEVICE, place=OWNER),))
    outcome = table("attested", count=1).run(graph)
    assert outcome.status is RunStatus.COMPLETED
    assert outcome.tasks[0].holders == (OWNER,)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"skill": "juggle"}, "no device here has the skill juggle"),
        ({"place": DeviceId(DEVICES[6])}, "is not here"),
    ],
)
def test_a_task_nobody_can_do_fails_with_a_plain_reason(changes: dict[str, Any], told: str) -> None:
    outcome = table("nobody").run(TaskGraph((planned("only", **changes),)))
    assert outcome.status is RunStatus.FAILED
    assert told in outcome.reason
    assert outcome.seconds < 15


def test_the_time_limit_ends_a_run_and_closes_its_tasks() -> None:
    played = table("late", limits=Limits(timeout_seconds=5), durations={"search-1": 60.0})
    outcome = played.run(research(DEVICES[1:4]))
    assert outcome.status is RunStatus.TIMED_OUT
    assert outcome.seconds < 9
    by_name = {report.name: report.status for report in outcome.tasks}
    assert by_name["search-1"] == by_name["answer"] == "cancelled"
    assert by_name["search-2"] == "committed"


def test_a_caller_may_cancel() -> None:
    played = table("cancelled", durations={"search-1": 60.0})
    graph = research(DEVICES[1:4])
    with pytest.raises(Failure, match="seed cancelled"):
        played.run(graph, seconds=4.0)
    run = RunId(next(iter(played.entries)).partition("/")[0])
    played.feed(OWNER, CancelRequested(run=run, reason="no longer wanted"))
    assert played.outcome is not None
    assert played.outcome.status is RunStatus.CANCELLED
    assert played.outcome.reason == "no longer wanted"


def test_seven_tasks_at_once_are_shared_among_the_devices() -> None:
    graph = TaskGraph(tuple(planned(f"t-{n}") for n in range(12)))
    outcome = table("shared", count=7).run(graph)
    assert outcome.status is RunStatus.COMPLETED
    assert len({report.worker for report in outcome.tasks}) >= 4


def test_the_check_has_teeth_acks_of_too_few_are_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def won(poll: Poll) -> bool:
        return poll.yes >= (1 if poll.acks else 3)

    monkeypatch.setattr(Poll, "won", property(won))
    played = table("mutant")
    with pytest.raises((AssertionError, Failure)):
        check(played, played.run(research(DEVICES[1:4])))


def hour(*devices: DeviceId, begin: float = 1.5) -> dict[DeviceId, tuple[tuple[float, float], ...]]:
    """Devices that fall asleep for an hour."""
    return dict.fromkeys(devices, ((begin, begin + 3_600.0),))


@pytest.mark.parametrize("seed", range(8))
def test_a_phone_that_sleeps_for_an_hour_neither_blocks_nor_breaks_the_run(seed: int) -> None:
    """It held a lease and was a witness; the run is over long before it wakes."""
    phone = DEVICES[1 + seed % 3]
    played = table(f"asleep {seed}", 5, sleeps=hour(phone), limits=Limits(timeout_seconds=300))
    outcome = played.run(TaskGraph((planned("a"), planned("b"), planned("c", (edge("a", "b"),)))))
    assert outcome.status is RunStatus.COMPLETED, outcome.reason
    assert outcome.seconds < 120


@pytest.mark.parametrize("seed", range(4))
def test_a_phone_that_wakes_within_the_run_does_no_harm(seed: int) -> None:
    """Its lease is over, its requests of before come late, its offers are old."""
    sleeps = {DEVICES[n]: ((0.9 + n / 10, 40.0 + n),) for n in (1, 2)}
    played = table(
        f"woken {seed}",
        6,
        sleeps=sleeps,
        durations=dict.fromkeys("abcd", 12.0),
        limits=Limits(timeout_seconds=300),
    )
    outcome = played.run(CHAIN)
    assert outcome.status is RunStatus.COMPLETED, outcome.reason
    for report in outcome.tasks:
        assert report.output == right_output(report.name)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("side", [(3,), (2, 3), (1, 2, 3), (0,), (0, 1)])
def test_after_every_heal_a_run_goes_on(seed: int, side: tuple[int, ...]) -> None:
    """Two splits of 20 s, with the owner on one side or the other; clocks run apart."""
    devices = frozenset(DEVICES[number] for number in side)
    played = table(
        f"split {seed} {side}",
        5,
        cuts=((1.0 + seed / 4, 21.0 + seed / 4, devices), (40.0, 60.0, devices)),
        rates={device: 0.95 + 0.1 * number / 4 for number, device in enumerate(DEVICES[:5])},
        loss=0.03,
        durations=dict.fromkeys("abcd", 8.0),
        limits=Limits(timeout_seconds=300),
    )
    outcome = played.run(CHAIN)
    assert outcome.status is RunStatus.COMPLETED, (outcome.reason, outcome.seconds)
    for report in outcome.tasks:
        entries = played.entries[report.id].values()
        outputs = {e.body.output for e in entries if isinstance(e.body, Commit)}
        assert len(outputs) == 1, f"seed {played.plan.seed}"
