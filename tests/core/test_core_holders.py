"""Outputs outlive their makers: who holds a copy when a task is committed, and who may not."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.credibility import Credit, Standing
from pockethive.core.effects import Effect, KeepOutput, Send
from pockethive.core.entry import Commit, Kind
from pockethive.core.entry_codec import MAX_BODY, MAX_HOLDERS, decode_body, encode_body
from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.core.events import (
    Leaving,
    MembersChanged,
    MessageArrived,
    OutputKept,
)
from pockethive.core.fold import fold
from pockethive.core.graph import TaskGraph
from pockethive.core.keeper import MAX_FETCHES, Keeper, KeeperSettings
from pockethive.core.labels import Label
from pockethive.core.ledger_holders import PATIENCE_SECONDS
from pockethive.core.message import Keep, Progress
from pockethive.core.message_codec import decode_message, encode_message
from pockethive.core.report import RunStatus
from pockethive.core.table_plan import TablePlan
from pockethive.core.task import DeviceId, Task
from pockethive.core.testing import Table
from tests.core.core_play import (
    CHECKED,
    DEVICES,
    OWNER_KEY,
    acks,
    entry,
    make_task,
    member,
    output,
    planned,
    research,
    sha,
    sign,
    verify,
)

OWNER, WORKER, OTHER = DEVICES[:3]
TASK = make_task()
MADE = output(TASK.id, WORKER)
KEEP = Keep(task=TASK.id, entry=entry(OWNER, TASK), output=MADE)
OTHERS_KEY = DEVICES[6]


def table(seed: str, devices: int, **changes: Any) -> Table:
    parts: dict[str, Any] = {
        "seed": seed,
        "devices": DEVICES[:devices],
        "owner_key": OWNER_KEY,
        "skills": ("search",),
        "checkers": ("quotation",),
    }
    return Table(TablePlan(**{**parts, **changes}), sign, verify)


@pytest.mark.parametrize("seed", range(4))
def test_two_devices_besides_the_worker_hold_what_is_committed_and_every_reader_knows_them(
    seed: int,
) -> None:
    played = table(f"held {seed}", 5, doubled=0.05 * seed)
    outcome = played.run(research(DEVICES[1:4]))
    assert outcome.status is RunStatus.COMPLETED
    for report in outcome.tasks:
        view = fold(played.entries[report.id].values(), verify, report.id)
        assert view is not None
        assert set(view.holders) == set(report.holders)
        assert len(report.holders) >= 3, played.plan.seed
        assert not any("besides its maker" in line for line in report.story)


def test_copies_cost_a_quiet_run_no_time() -> None:
    graph = TaskGraph((planned("only"),))
    one, two = (
        table("time", 5, check_seconds=seconds).run(graph).seconds for seconds in (0.5, 1.5)
    )
    assert two - one == pytest.approx(1.0, abs=0.05), "the checks decide, not the copies"


def test_two_verifiers_hold_it_and_nobody_else_is_asked() -> None:
    played = table("two", 5)
    (report,) = played.run(
        TaskGraph((planned("only", verification=replace(CHECKED, verdicts=2)),))
    ).tasks
    assert len(report.holders) == 3
    assert not any(
        isinstance(effect, Send) and isinstance(effect.message, Keep)
        for line in played.transcript
        for effect in line.effects
    )


def test_in_a_smaller_hive_it_is_committed_with_fewer_and_the_story_says_so() -> None:
    (report,) = table("pair", 2).run(TaskGraph((planned("only"),))).tasks
    assert len(report.holders) == 2
    assert any("held by 1 besides its maker" in line for line in report.story)


def test_a_device_that_cannot_hold_it_does_not_stop_the_commit() -> None:
    graph = TaskGraph((planned("only", place=WORKER),))
    others = set(DEVICES[2:5])
    for dead in others:  # it dies once the run is open, and nobody has noticed
        outcome = table("dies", 5, crashes={dead: 0.3}).run(graph)
        assert outcome.status is RunStatus.COMPLETED
        assert outcome.seconds < 1.2 + PATIENCE_SECONDS + 5


def test_with_loss_it_is_held_by_two_or_the_story_says_by_how_many() -> None:
    for seed in range(6):
        outcome = table(f"lossy {seed}", 6, loss=0.1).run(research(DEVICES[1:4]))
        for report in outcome.tasks:
            told = any("besides its maker" in line for line in report.story)
            assert report.status != "committed" or told == (len(report.holders) < 3)


def test_what_is_taken_on_credit_has_a_holder_besides_its_maker() -> None:
    credit = Credit(device=WORKER, model="", standing=Standing(10_000, 10_000, 0))
    how = replace(CHECKED, adaptive=True)
    graph = TaskGraph((planned("only", place=WORKER, verification=how),))
    (report,) = table("credit", 4, credits=(credit,), secret=b"of the owner").run(graph).tasks
    assert report.on_credit
    assert len(report.holders) == 2


# the keeper


def keeper(owner_key: str = OWNER_KEY, *, lends: bool = True) -> Keeper:
    made = Keeper(KeeperSettings(device=OTHER, owner_key=owner_key, lends=lends))
    made.handle(MembersChanged(members=(member(OWNER),)), 0.0)
    return made


def asked(one: Keeper, keep: Keep = KEEP, sender: DeviceId = OWNER) -> tuple[Effect, ...]:
    return one.handle(MessageArrived(sender=sender, message=keep), 0.0)


def fetches(effects: tuple[Effect, ...]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, KeepOutput)]


def labelled(label: Label) -> Keep:
    task: Task = make_task(label=label)
    return Keep(task=task.id, entry=entry(OWNER, task), output=output(task.id, WORKER))


def test_a_keeper_fetches_a_copy_and_says_so_only_when_it_has_it() -> None:
    one = keeper()
    assert asked(one) == (KeepOutput(task=TASK, output=MADE),)
    assert asked(one) == (), "it is being fetched"
    kept = OutputKept(task=TASK.id, output=sha("right"), kept=True)
    assert one.handle(replace(kept, output=sha("other")), 0.0) == ()
    told = Progress(task=TASK.id, epoch=1, state="holding", reason="")
    assert one.handle(kept, 0.0) == (Send(to=OWNER, message=told),)
    assert one.handle(kept, 0.0) == ()
    assert asked(one)
    refused = Send(to=OWNER, message=replace(told, state="unheld"))
    assert one.handle(replace(kept, kept=False), 0.0) == (refused,)


@pytest.mark.parametrize(
    ("keep", "sender", "own_key", "lends", "taken"),
    [
        (KEEP, OTHER, OWNER_KEY, True, False),
        (replace(KEEP, output=output(make_task("b").id, WORKER)), OWNER, OWNER_KEY, True, False),
        (replace(KEEP, entry=MADE), OWNER, OWNER_KEY, True, False),
        (KEEP, OWNER, OTHERS_KEY, True, True),
        (KEEP, OWNER, OTHERS_KEY, False, False),
        (KEEP, OWNER, OWNER_KEY, False, True),
        (labelled(Label.PEOPLE), OWNER, OWNER_KEY, True, True),
        (labelled(Label.PEOPLE), OWNER, OTHERS_KEY, True, False),
        (labelled(Label.DEVICE), OWNER, OWNER_KEY, True, False),
    ],
    ids=[
        "not the owner asks",
        "of another task",
        "no task",
        "lends itself",
        "does not lend itself",
        "but to its owner",
        "for the owner's devices",
        "not for others'",
        "for no device",
    ],
)
def test_a_keeper_holds_for_the_owner_of_the_task_and_as_its_label_allows(
    keep: Keep, sender: DeviceId, own_key: str, *, lends: bool, taken: bool
) -> None:
    assert bool(fetches(asked(keeper(own_key, lends=lends), keep, sender))) == taken


def test_a_keeper_is_bounded_and_takes_nothing_when_it_leaves() -> None:
    one = keeper()
    tasks = [make_task(f"t{number}") for number in range(MAX_FETCHES + 1)]
    keeps = [Keep(task=t.id, entry=entry(OWNER, t), output=output(t.id, WORKER)) for t in tasks]
    assert sum(bool(fetches(asked(one, keep))) for keep in keeps) == MAX_FETCHES
    leaving = keeper()
    leaving.handle(Leaving(patient=True), 0.0)
    assert not fetches(asked(leaving))


# on the wire

OPEN = table("codec", 2).open_entry
COMMIT = Commit(
    task=TASK.id,
    generation=1,
    epoch=1,
    output=sha("o"),
    acks=acks(TASK, 1, sha("o"), 3),
    holders=DEVICES[4:6],
)


def test_a_request_to_keep_and_a_commits_holders_are_read_back_as_they_were_written() -> None:
    assert decode_message(encode_message(KEEP), OPEN) == KEEP
    assert decode_body(Kind.COMMIT, encode_body(COMMIT)) == COMMIT
    names = replace(COMMIT, holders=(*DEVICES, *DEVICES)[: MAX_HOLDERS + 1])
    with pytest.raises(BadEncoding, match="at most"):
        decode_body(Kind.COMMIT, encode_body(names))
    task = make_task("n" * 64, witnesses=DEVICES, quorum=5)
    largest = Commit(
        task=task.id,
        generation=9,
        epoch=2**31,
        output=sha("o"),
        acks=acks(task, 1, sha("o"), 7),
        holders=DEVICES[:MAX_HOLDERS],
    )
    assert len(encode_body(largest)) <= MAX_BODY[Kind.COMMIT]


@given(st.data())
def test_a_damaged_request_to_keep_is_a_protocol_error(data: st.DataObject) -> None:
    wire = bytearray(encode_message(KEEP))
    wire[data.draw(st.integers(0, len(wire) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_message(bytes(wire), OPEN)
    except ProtocolError:
        return
    assert encode_message(read) == bytes(wire)  # a letter of a name: it says what it says
