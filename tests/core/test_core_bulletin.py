"""Work found without knowing one another: notices, whoever reads them, and who asks too much."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from pockethive.core.effects import Meet, PostNotice, ReadShard, SeekOffer, Send, SetTimer
from pockethive.core.entry import Notice
from pockethive.core.events import MembersChanged, MessageArrived, ShardRead, TimerFired
from pockethive.core.graph import TaskGraph
from pockethive.core.labels import Label
from pockethive.core.ledger import Ledger, LedgerSettings
from pockethive.core.ledger_notices import MAX_ANSWERS, MAX_EACH
from pockethive.core.message import AskOffer, Offer
from pockethive.core.notice import MAX_OWN, SHARDS, may_post, notice_key, notice_of, shard_of
from pockethive.core.report import RunStatus
from pockethive.core.scout import Scout, ScoutSettings
from pockethive.core.seeker import MAX_ASKED, MOST_SECONDS, TIMER
from pockethive.core.spec import Limits
from pockethive.core.table_plan import TablePlan
from pockethive.core.task import Task
from pockethive.core.testing import Table
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    device,
    entry,
    make_task,
    member,
    planned,
    sign,
    verify,
)
from tests.core.ledger_play import OWNER, begin, of

STRANGER = DEVICES[5]


def table(seed: str, **changes: Any) -> Table:
    """Four devices that know one another and cannot work; two strangers who can."""
    parts: dict[str, Any] = {
        "seed": seed,
        "devices": DEVICES[:6],
        "owner_key": OWNER_KEY,
        "skills": ("search",),
        "checkers": ("quotation",),
        "strangers": frozenset(DEVICES[4:6]),
        "skilled": frozenset(DEVICES[4:6]),
    }
    return Table(TablePlan(**{**parts, **changes}), sign, verify)


def many(count: int, **changes: Any) -> TaskGraph:
    return TaskGraph(tuple(planned(f"task-{number}", **changes) for number in range(count)))


def told(effects: tuple[Any, ...], kind: type[Any]) -> list[Any]:
    return [each.message for each in of(Send, effects) if isinstance(each.message, kind)]


# whole plays


@pytest.mark.parametrize("seed", ["a", "b", "c", "d"])
def test_a_stranger_finds_a_task_and_does_it(seed: str) -> None:
    played = table(seed)
    outcome = played.run(many(1))
    assert outcome.status is RunStatus.COMPLETED, f"seed {seed}: {outcome.reason}"
    (report,) = outcome.tasks
    assert report.output is not None
    assert any("asked for it" in line for line in report.story)
    assert played.bulletin.standing == 0  # taken back when it was taken


def test_with_lost_and_doubled_messages_all_tasks_are_still_found() -> None:
    for seed in ("e", "f"):
        outcome = table(seed, loss=0.05, doubled=0.1).run(many(6))
        assert outcome.status is RunStatus.COMPLETED, f"seed {seed}: {outcome.reason}"


def test_with_five_hundred_open_tasks_a_device_reads_one_shard_a_turn() -> None:
    played = table("many", limits=Limits(timeout_seconds=60, max_tasks=500), work_seconds=20.0)
    played.run(many(500), seconds=400.0)
    for line in played.transcript:
        reads = of(ReadShard, line.effects)
        assert len(reads) <= 1
        if reads:
            assert line.event == TimerFired(name=TIMER)
    turns = [at for at, _ in played.bulletin.reads[STRANGER]]
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(turns))
    assert len(played.bulletin.posted) > SHARDS


def test_nothing_posted_holds_a_word_of_goal_run_or_task() -> None:
    played = table("quiet")
    words = {"question": "who-built-the-lighthouse"}
    played.run(TaskGraph((planned("secret-name", params=words),)))
    assert played.bulletin.posted
    run = next(iter(played.entries)).partition("/")[0]
    for body in played.bulletin.posted:
        for text in ("lighthouse", "secret-name", "question", "researcher", run, OWNER_KEY):
            assert text.encode() not in body


def test_what_is_not_for_the_hive_is_not_announced() -> None:
    assert may_post(make_task(label=Label.HIVE))
    for label in (Label.PEOPLE, Label.DEVICE):
        assert not may_post(make_task(label=label))
    assert not may_post(make_task(place=DEVICES[2]))


def test_a_device_alone_posts_nothing_and_fails_as_soon_as_before() -> None:
    played = table("alone", devices=(DEVICES[0], STRANGER), strangers=frozenset((STRANGER,)))
    outcome = played.run(many(1))
    assert outcome.status is RunStatus.FAILED
    assert outcome.seconds < 15
    assert played.bulletin.posted == []


# the owner who is asked


def nobody_can(count: int) -> tuple[Ledger, list[Task]]:
    """A ledger with an open run whose tasks nobody known can do."""
    limits = Limits(max_tasks=count)
    settings = LedgerSettings(device=OWNER, owner_key=OWNER_KEY, limits=limits, posts=True)
    idle = tuple(replace(member(each), skills=()) for each in DEVICES[:4])
    return begin(Ledger(settings, verify), idle, many(count))


def posting(count: int) -> tuple[Ledger, list[Notice]]:
    """A ledger whose tasks nobody known can do, and what it has posted by and by."""
    ledger, _ = nobody_can(count)
    notices = []
    for step in range(1, 110):
        effects = ledger.handle(TimerFired(name="tick"), 0.5 * step)
        notices += [each.notice for each in of(PostNotice, effects)]
    return ledger, notices


def one_posted() -> tuple[Ledger, Notice]:
    """A ledger with one task, whose notice stands."""
    ledger, tasks = nobody_can(1)
    return ledger, notice_of(tasks[0])


def ask(notice: Notice, who: Any) -> MessageArrived:
    asking = AskOffer(key=notice.key, entry=entry(who, member(who)))
    return MessageArrived(sender=who, message=asking)


def test_who_asks_is_met_and_offered_the_task_while_it_is_to_be_had() -> None:
    ledger, notice = one_posted()
    effects = ledger.handle(ask(notice, STRANGER), 55.0)
    assert len(of(Meet, effects)) == 1
    (offer,) = told(effects, Offer)
    assert notice_key(offer.task) == notice.key


def test_a_stranger_without_the_skill_or_in_anothers_name_gets_nothing() -> None:
    ledger, notice = one_posted()
    unable = replace(member(STRANGER), skills=("dance",))
    for sender, shown in (
        (STRANGER, entry(STRANGER, unable)),
        (DEVICES[6], entry(STRANGER, member(STRANGER))),
        (STRANGER, entry(STRANGER, make_task())),
    ):
        message = AskOffer(key=notice.key, entry=shown)
        assert ledger.handle(MessageArrived(sender=sender, message=message), 55.0) == ()
    unknown = replace(notice, key=notice_key(make_task("other").id))
    assert ledger.handle(ask(unknown, STRANGER), 55.0) == ()


def test_an_owner_flooded_with_questions_answers_so_many_a_second() -> None:
    ledger, notice = one_posted()
    offers = [
        offer
        for number in range(2_000)
        for offer in told(ledger.handle(ask(notice, device(number % 500)), 55.0), Offer)
    ]
    assert len(offers) == MAX_ANSWERS
    mine = [told(ledger.handle(ask(notice, STRANGER), 57.0), Offer) for _ in range(100)]
    assert sum(map(len, mine)) == MAX_EACH


def test_an_owner_posts_so_many_notices_a_shard_and_no_more() -> None:
    _, notices = posting(400)
    held = [0] * SHARDS
    for key in {each.key for each in notices}:
        held[shard_of(key)] += 1
    assert max(held) == MAX_OWN
    assert sum(held) > SHARDS


# the device that seeks


def seeker() -> Scout:
    scout = Scout(
        ScoutSettings(
            device=STRANGER,
            skills=frozenset(("search",)),
            has_model=True,
            concurrency=2,
            seeks=True,
        ),
        verify,
    )
    scout.handle(MembersChanged(members=()), 0.0)
    return scout


def turns(scout: Scout, count: int) -> tuple[list[int], list[float]]:
    """The shards of so many turns at which nothing is found, and the pauses after them."""
    shards, pauses, now = [], [], 10.0
    for _ in range(count):
        read, timer = scout.handle(TimerFired(name=TIMER), now)
        assert isinstance(read, ReadShard)
        assert isinstance(timer, SetTimer)
        scout.handle(ShardRead(shard=read.shard, notices=()), now)
        shards.append(read.shard)
        pauses.append(timer.at - now)
        now = timer.at
    return shards, pauses


def test_a_round_visits_every_shard_once_in_another_order_each_time() -> None:
    shards, _ = turns(seeker(), 2 * SHARDS)
    assert sorted(shards[:SHARDS]) == sorted(shards[SHARDS:]) == list(range(SHARDS))
    assert shards[:SHARDS] != shards[SHARDS:]


def test_who_finds_nothing_reads_ever_more_rarely_but_goes_on() -> None:
    _, pauses = turns(seeker(), 60)
    assert pauses[0] < 4
    assert 0.7 * MOST_SECONDS < pauses[-1] < 1.3 * MOST_SECONDS


def test_a_busy_device_reads_nothing() -> None:
    scout = seeker()
    for number in range(2):
        task = make_task(f"work-{number}")
        offer = Offer(
            task=task.id,
            skill=task.skill,
            needs_model=False,
            label=task.label,
            place=None,
            entry=entry(task.owner, task),
        )
        scout.handle(MessageArrived(sender=task.owner, message=offer), 1.0)
    assert of(ReadShard, scout.handle(TimerFired(name=TIMER), 6.0)) == []


def test_it_asks_for_what_it_can_do_and_not_again_at_once() -> None:
    scout = seeker()
    notices = [notice_of(make_task(f"work-{number}")) for number in range(1_000)]
    strange = [replace(each, skill="dance") for each in notices[:10]]
    own = [replace(each, owner=STRANGER) for each in notices[10:20]]
    asked: set[str] = set()
    for turn in range(300):
        now = 10.0 + turn / 10
        (read, *_) = of(ReadShard, scout.handle(TimerFired(name=TIMER), now))
        shown = ShardRead(shard=read.shard, notices=(*strange, *own, *notices[20:]))
        keys = {each.key for each in of(SeekOffer, scout.handle(shown, now))}
        assert len(keys) <= 2
        assert not keys & asked
        asked |= keys
    assert len(asked) == MAX_ASKED
    assert not asked & {each.key for each in strange + own}
