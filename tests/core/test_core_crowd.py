"""Many devices and many tasks: who is told what, how often, and what a crowd's play is like."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import digest, digest_after
from pockethive.core.effects import RunSkill, Send
from pockethive.core.entry import Commit
from pockethive.core.events import MembersChanged, TimerFired
from pockethive.core.graph import TaskGraph
from pockethive.core.ledger import Ledger
from pockethive.core.message import LetGo, Offer
from pockethive.core.report import RunStatus
from pockethive.core.spec import Limits
from pockethive.core.table_plan import TablePlan
from pockethive.core.task import DeviceId
from pockethive.core.testing import Table
from pockethive.core.watch import MISSES, PING_SECONDS, Watch
from tests.core.core_play import DEVICES, OWNER_KEY, device, grants, member, planned, sign, verify
from tests.core.ledger_play import claim, of, opened, said

LATER = tuple(device(number) for number in range(100, 140))


@given(parts=st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_what_is_hashed_in_two_steps_is_what_is_hashed_in_one(parts: list[bytes]) -> None:
    *before, last = parts
    ended = digest_after("test", *before)
    assert ended(last) == digest("test", *parts)
    assert ended(last + b"x") == digest("test", *before, last + b"x")


def offered(ledger: Ledger, begin: float, end: float) -> set[DeviceId]:
    """Who got an offer meanwhile."""
    asked, at = set[DeviceId](), begin
    while at <= end:
        sent = of(Send, ledger.handle(TimerFired(name="tick"), at))
        asked |= {each.to for each in sent if isinstance(each.message, Offer)}
        at += 0.5
    return asked


def test_a_device_that_has_an_offer_gets_it_again_ever_more_rarely() -> None:
    ledger, (task,) = opened(DEVICES, TaskGraph((planned("a"),)))
    heard: dict[DeviceId, list[float]] = {}
    for half in range(1, 120):
        for sent in of(Send, ledger.handle(TimerFired(name="tick"), half / 2)):
            if isinstance(sent.message, Offer) and sent.message.task == task.id:
                heard.setdefault(sent.to, []).append(half / 2)
    assert set(heard) == set(DEVICES), "in the end all who can do it were asked"
    for times in heard.values():
        pauses = [later - sooner for sooner, later in pairwise(times)]
        assert len(times) <= 5, times
        assert pauses == sorted(pauses), times


def test_who_waits_with_an_offer_is_let_go_once_it_is_taken_and_asked_again_if_that_fails() -> None:
    ledger, (task,) = opened(DEVICES, TaskGraph((planned("a"),)))
    asked = offered(ledger, 1.0, 4.0)
    assert len(asked) > 1
    worker = DEVICES[1]
    effects = ledger.handle(said(worker, claim(task, 1, grants=grants(task, worker, 1))), 5.0)
    free = {e.to for e in of(Send, effects) if isinstance(e.message, LetGo) and not e.message.epoch}
    assert free >= asked - {worker}
    assert worker not in free
    ledger.handle(said(worker, claim(task, 1, "failed", "no idea")), 6.0)
    assert asked - {worker} <= offered(ledger, 7.0, 16.0)


def test_a_newcomer_gets_no_word_of_tasks_that_others_can_do_before_their_next_offer() -> None:
    ledger, _ = opened(DEVICES[:3], TaskGraph((planned("a"),)))
    offered(ledger, 0.5, 2.0)
    more = MembersChanged(members=tuple(map(member, DEVICES)))
    assert ledger.handle(more, 2.1) == ()
    assert offered(ledger, 2.5, 16.0) - set(DEVICES[:3])


def test_a_lost_device_that_owes_nothing_is_pinged_ever_more_rarely() -> None:
    watch = Watch(DEVICES[0])
    for _ in range(MISSES):
        watch.answered(DEVICES[1], alive=False, now=0.0)
    assert watch.lost == {DEVICES[1]}
    idle = [half / 2 for half in range(1, 400) if watch.pings((), half / 2)]
    pauses = [later - sooner for sooner, later in pairwise(idle)]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 20
    assert watch.pings((DEVICES[1],), idle[-1] + PING_SECONDS), "but not when it is waited for"
    assert not watch.answered(DEVICES[1], alive=True, now=201.0)
    assert watch.lost == set()


@pytest.mark.parametrize("seed", range(3))
def test_runs_of_several_owners_end_while_devices_die_and_others_come(seed: int) -> None:
    graph = TaskGraph(tuple(planned(f"task-{number}") for number in range(30)))
    plan = TablePlan(
        seed=f"crowd {seed}",
        devices=(*DEVICES, *LATER),
        owner_key=OWNER_KEY,
        skills=("search",),
        checkers=("quotation",),
        limits=Limits(timeout_seconds=300),
        owners=2,
        work_seconds=3.0,
        crashes={DEVICES[3]: 3.0, DEVICES[4]: 4.0, LATER[0]: 9.0},
        arrivals={each: 2.0 + number / 4 for number, each in enumerate(LATER)},
    )
    table = Table(plan, sign, verify)
    begun: Counter[DeviceId] = Counter()
    table.watch = lambda line: begun.update(
        line.device for effect in line.effects if isinstance(effect, RunSkill)
    )
    table.play([graph, graph])
    outcomes = list(table.outcomes.values())
    assert [outcome.status for outcome in outcomes] == [RunStatus.COMPLETED] * 2
    assert outcomes[0].run != outcomes[1].run
    assert not table.transcript, "who watches needs no transcript"
    assert set(begun) & set(LATER), "those who came have worked"
    made = [
        {entry.body.output for entry in found.values() if isinstance(entry.body, Commit)}
        for found in table.entries.values()
    ]
    assert [len(outputs) for outputs in made] == [1] * 60
