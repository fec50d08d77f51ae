"""Deadlines: a slow holder is asked to leave a task to others; a late one has failed."""

from dataclasses import replace
from typing import Any

import pytest

from pockethive.core.effects import Effect, Send
from pockethive.core.events import MembersChanged, PingAnswered, TimerFired
from pockethive.core.graph import TaskGraph
from pockethive.core.ledger import Ledger
from pockethive.core.ledger_deadlines import ASK_AGAIN_SECONDS, MAX_YIELDS
from pockethive.core.ledger_state import TaskState
from pockethive.core.lifecycle import Status
from pockethive.core.message import LetGo, Made, Offer
from pockethive.core.report import RunStatus
from pockethive.core.spec import Limits
from pockethive.core.task import Deadline, DeviceId
from tests.core.core_play import DEVICES, RUN, grants, member, output, planned
from tests.core.journal_play import JournalTable, plan
from tests.core.ledger_play import begin, claim, new_ledger, of, said

OWNER = DEVICES[0]
SOFT, HARD = 4, 60


class Play:
    """One task at a ledger, with devices that answer every ping."""

    def __init__(self, deadline: Deadline, count: int = 4, **how: Any) -> None:
        graph = TaskGraph((planned("a", deadline=deadline, **how),))
        members = tuple(map(member, DEVICES[:count]))
        self.ledger: Ledger
        self.ledger, (self.task,) = begin(new_ledger(), members, graph)
        self.now, self.epoch = 1.0, 0

    @property
    def state(self) -> TaskState:
        """What the ledger has of it."""
        return self.ledger._runs[RUN].tasks["a"]

    def claimed(self, device: DeviceId) -> None:
        """A device has the lease."""
        self.epoch += 1
        proof = grants(self.task, device, self.epoch)
        self.ledger.handle(said(device, claim(self.task, self.epoch, grants=proof)), self.now)

    def wait(self, seconds: float) -> tuple[Effect, ...]:
        """Half a second at a time; the holder says that it works."""
        found: tuple[Effect, ...] = ()
        for _ in range(round(2 * seconds)):
            self.now += 0.5
            for device in DEVICES[:5]:
                self.ledger.handle(PingAnswered(device=device, alive=True), self.now)
            if self.state.status is Status.CLAIMED and self.state.holder is not None:
                word = claim(self.task, self.epoch)
                found += self.ledger.handle(said(self.state.holder, word), self.now)
            found += self.ledger.handle(TimerFired(name="tick"), self.now)
        return found

    def returned(self) -> tuple[Effect, ...]:
        """The holder gives it back."""
        assert self.state.holder is not None
        word = claim(self.task, self.epoch, "returned", "it took more than 4 s")
        return self.ledger.handle(said(self.state.holder, word), self.now)


def asked(effects: tuple[Effect, ...]) -> list[DeviceId]:
    """Who is asked to yield."""
    letters = [s for s in of(Send, effects) if isinstance(s.message, LetGo)]
    return [send.to for send in letters if send.message.soft]


def test_at_the_soft_deadline_the_holder_is_asked_and_what_it_gives_back_costs_no_attempt() -> None:
    play = Play(Deadline(SOFT))
    play.claimed(DEVICES[1])
    assert asked(play.wait(SOFT - 1)) == []
    assert asked(play.wait(2)) == [DEVICES[1]]
    assert asked(play.wait(ASK_AGAIN_SECONDS)) == [DEVICES[1]], "the letter may have been lost"
    play.returned()
    assert (play.state.status, play.state.failures) == (Status.READY, 0)
    offers = [s.to for s in of(Send, play.wait(12)) if isinstance(s.message, Offer)]
    assert list(dict.fromkeys(offers))[-1] == DEVICES[1], "who was slow is offered it last"
    assert set(offers) == set(DEVICES[:4])


def test_a_holder_that_has_proposed_is_not_asked_and_its_late_output_counts() -> None:
    play = Play(Deadline(SOFT))
    play.claimed(DEVICES[1])
    play.wait(SOFT + 1)
    made = output(play.task.id, DEVICES[1])
    word = Made(entry=made, grants=grants(play.task, DEVICES[1]))
    play.ledger.handle(said(DEVICES[1], word), play.now)
    assert play.state.status is Status.PROPOSED
    assert asked(play.wait(10)) == []
    assert play.state.output == made


@pytest.mark.parametrize("how", ["nobody else", "nobody fresh", "placed"])
def test_nobody_is_asked_for_whom_there_is_no_other(how: str) -> None:
    play = Play(Deadline(SOFT), place=DEVICES[1] if how == "placed" else None)
    if how == "nobody else":
        idle = [replace(member(each), works=False) for each in DEVICES[2:4]]
        workers = (replace(member(OWNER), works=False), member(DEVICES[1]), *idle)
        play.ledger.handle(MembersChanged(members=workers), play.now)
    if how == "nobody fresh":
        play.state.blamed += [OWNER, *DEVICES[2:4]]
    play.claimed(DEVICES[1])
    assert asked(play.wait(10)) == []


def test_what_takes_everybody_long_stays_with_the_fourth() -> None:
    play = Play(Deadline(SOFT), count=7)
    for number in range(MAX_YIELDS):
        play.claimed(DEVICES[number + 1])
        wait = SOFT * 2**number
        assert asked(play.wait(wait - 1)) == [], "each has twice the time of the one before"
        assert set(asked(play.wait(2))) == {DEVICES[number + 1]}
        play.returned()
    play.claimed(DEVICES[4])
    assert asked(play.wait(300)) == []
    assert play.state.status is Status.CLAIMED


def test_at_the_hard_deadline_the_attempt_has_failed() -> None:
    play = Play(Deadline(hard=HARD))
    play.claimed(DEVICES[1])
    play.wait(HARD - 1)
    assert play.state.failures == 0
    effects = play.wait(2)
    letters = [s for s in of(Send, effects) if isinstance(s.message, LetGo)]
    assert [(s.to, s.message.soft) for s in letters] == [(DEVICES[1], False)]
    assert play.state.failures == 1
    assert "it was not made within 60 s" in play.state.failed[0]


def test_a_task_that_hangs_ends_a_run_before_its_time_limit_crash_or_not() -> None:
    graph = TaskGraph((planned("a", deadline=Deadline(2, 5)), planned("b")))
    for cuts in (frozenset[int](), frozenset({30})):
        how: dict[str, Any] = {"limits": Limits(timeout_seconds=400), "durations": {"a": 300.0}}
        table = JournalTable(plan("hangs", 4, **how), cuts)
        outcome = table.run(graph)
        assert outcome.status is RunStatus.FAILED
        assert "it was not made within 5 s" in outcome.reason
        assert outcome.seconds < 60
        done, _ = table.replayed()
        assert [each.status for each in done.outcomes.values()] == [outcome.status]
