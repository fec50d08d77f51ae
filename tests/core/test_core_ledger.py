"""The ledger among liars and the dead: what it refuses, whom it names, what it looks at again."""

from collections.abc import Callable
from typing import Any

import pytest

from pockethive.core.canonical import to_text
from pockethive.core.effects import (
    AskWitness,
    Effect,
    Ping,
    Publish,
    ReadTask,
    Send,
    SetTimer,
)
from pockethive.core.entry import CloseReason, Kind
from pockethive.core.errors import ProtocolError
from pockethive.core.events import (
    GraphClosed,
    GraphOpened,
    MembersChanged,
    PingAnswered,
    TimerFired,
)
from pockethive.core.graph import TaskGraph
from pockethive.core.lease import Accepted, Seal
from pockethive.core.ledger import Ledger
from pockethive.core.ledger_opening import ANSWER_SECONDS
from pockethive.core.message import LetGo, Made, Offer, Progress
from pockethive.core.report import RunStatus
from pockethive.core.task import DeviceId, Task
from tests.core.core_play import (
    DEVICES,
    RUN,
    edge,
    grants,
    member,
    output,
    planned,
    research,
    sha,
)
from tests.core.ledger_play import (
    GRAPH,
    OTHER,
    OWNER,
    WORKER,
    claim,
    frozen,
    new_ledger,
    of,
    opened,
    said,
)
from tests.core.test_core_runs import table


class TestWhoIsBelieved:
    @pytest.mark.parametrize("seed", range(4))
    def test_a_member_that_names_a_huge_epoch_stalls_nothing(self, seed: int) -> None:
        graph = TaskGraph((planned("first"), planned("second", (edge("first"),))))
        quiet = table(f"boast {seed}").run(graph)
        for boaster in DEVICES[1:4]:
            played = table(f"boast {seed}", boasters=frozenset({boaster}))
            outcome = played.run(graph)
            assert outcome.status is RunStatus.COMPLETED
            assert outcome.seconds < quiet.seconds + 5
            assert {report.epoch for report in outcome.tasks} <= {1, 2, 3}
        played = table(f"boast {seed}", boasters=frozenset(DEVICES[1:4]))
        assert played.run(graph).status is RunStatus.COMPLETED
        assert any("without the grants" in str(error) for error in played.dropped)

    @pytest.mark.parametrize(
        "lie",
        [
            lambda task: claim(task, 2**30),
            lambda task: claim(task, 9, grants=grants(task, WORKER, 8)),
            lambda task: claim(task, 9, grants=grants(task, OTHER, 9)),
            lambda task: claim(task, 9, grants=grants(task, WORKER, 9)[:2]),
            lambda task: claim(task, 9, "accepted", sha("x"), grants=grants(task, WORKER, 9)),
            lambda task: claim(
                task, 9, "accepted", sha("x"), grants=grants(task, WORKER, 8, Accepted(1, sha("x")))
            ),
            lambda task: Made(entry=output(task.id, WORKER, 2**30)),
            lambda task: Made(entry=output(task.id, WORKER, 2), grants=grants(task, WORKER, 3)),
        ],
        ids=[
            "no grants",
            "of another epoch",
            "of another holder",
            "too few",
            "no accepted value",
            "accepted at another epoch",
            "an output without any",
            "an output with others",
        ],
    )
    def test_what_grants_do_not_prove_changes_nothing(
        self, lie: Callable[[Task], Made | Progress]
    ) -> None:
        ledger, (task, *_) = opened()
        before = frozen(ledger)
        with pytest.raises(ProtocolError):
            ledger.handle(said(WORKER, lie(task)), 1.0)
        assert frozen(ledger) == before
        honest = claim(task, 1, grants=grants(task, OTHER, 1))
        told = ledger.handle(said(OTHER, honest), 1.1)
        assert [effect.happening.what for effect in told if hasattr(effect, "happening")] == [
            "claimed"
        ]

    def test_an_accepted_value_that_nobody_here_can_prove_costs_an_attempt_then_the_witnesses(
        self,
    ) -> None:
        ledger, (task, *_) = opened()

        def show(epoch: int) -> tuple[Effect, ...]:
            shown = grants(task, WORKER, epoch, Accepted(1, sha("x")))
            mine = claim(task, epoch, "accepted", sha("x"), grants=shown)
            return ledger.handle(said(WORKER, mine), float(epoch))

        def sealing(effects: tuple[Effect, ...]) -> set[DeviceId]:
            return {ask.witness for ask in of(AskWitness, effects) if isinstance(ask.request, Seal)}

        first = show(9)
        assert [(send.to, send.message.epoch) for send in of(Send, first)] == [(WORKER, 9)]
        assert [read.task for read in of(ReadTask, first)] == [task.id], "the DHT may prove it"
        assert not sealing(first)
        assert sealing(show(10)) == set(task.committee.witnesses), "all later holders would see it"

    def test_a_claim_that_failed_has_overtaken_is_none(self) -> None:
        ledger, (task, *_) = opened()
        mine = claim(task, 1, grants=grants(task, WORKER, 1))
        assert ledger.handle(said(WORKER, mine), 1.0)
        assert ledger.handle(said(WORKER, claim(task, 1, "failed", "no idea")), 2.0)
        assert ledger.handle(said(WORKER, mine), 2.1) == ()
        again = claim(task, 2, grants=grants(task, WORKER, 2))
        assert ledger.handle(said(WORKER, again), 2.2)

    def test_a_failure_that_comes_before_its_claim_makes_that_claim_none_and_no_other_s(
        self,
    ) -> None:
        ledger, (task, *_) = opened()
        for at in (0.5, 1.0, 1.5, 4.5):  # one after another all were offered it
            ledger.handle(TimerFired(name="tick"), at)
        assert ledger.handle(said(WORKER, claim(task, 1, "failed", "no idea")), 5.0) == ()
        mine = claim(task, 1, grants=grants(task, WORKER, 1))
        assert ledger.handle(said(WORKER, mine), 5.1) == ()
        other = claim(task, 1, grants=grants(task, OTHER, 1))
        assert ledger.handle(said(OTHER, other), 5.2)


class TestWhoIsNamed:
    def begun(self, count: int, **how: Any) -> tuple[Ledger, tuple[Effect, ...]]:
        ledger = new_ledger()
        members = tuple(member(device, **how) for device in DEVICES[:count])
        ledger.handle(MembersChanged(members=members), 0.0)
        return ledger, ledger.handle(GraphOpened(run=RUN, graph=GRAPH), 1.0)

    @pytest.mark.parametrize("count", [1, 2])
    def test_who_is_alone_waits_for_nobody(self, count: int) -> None:
        _, effects = self.begun(count)
        assert of(Ping, effects) == []
        assert {p.body.committee.witnesses for p in of(Publish, effects)} == {(OWNER,)}

    def test_the_run_opens_when_all_have_answered(self) -> None:
        ledger, effects = self.begun(4)
        assert {ping.device for ping in of(Ping, effects)} == set(DEVICES[1:4])
        assert of(SetTimer, effects) == [SetTimer(name=f"opening:{RUN}", at=1.0 + ANSWER_SECONDS)]
        for device in DEVICES[1:3]:
            assert ledger.handle(PingAnswered(device=device, alive=True), 1.1) == ()
        effects = ledger.handle(PingAnswered(device=DEVICES[3], alive=True), 1.2)
        assert {len(p.body.committee.witnesses) for p in of(Publish, effects)} == {4}
        assert ledger.handle(GraphOpened(run=RUN, graph=GRAPH), 1.3) == ()

    @pytest.mark.parametrize("told", [True, False], ids=["refused", "silent"])
    def test_who_does_not_answer_is_not_named(self, *, told: bool) -> None:
        ledger, effects = self.begun(7)
        for device in DEVICES[3:7]:
            assert ledger.handle(PingAnswered(device=device, alive=True), 1.1) == ()
        if told:
            effects = ledger.handle(PingAnswered(device=WORKER, alive=False), 1.2)
            effects += ledger.handle(PingAnswered(device=OTHER, alive=False), 1.3)
        else:
            effects = ledger.handle(TimerFired(name=f"opening:{RUN}"), 2.0)
        named = {p.body.committee.witnesses for p in of(Publish, effects)}
        assert len(named) == 1
        assert {WORKER, OTHER}.isdisjoint(named.pop())

    def test_nobody_waits_for_an_answer_that_decides_nothing(self) -> None:
        ledger = new_ledger()
        extra = tuple(DeviceId(to_text(bytes([n]) * 32)) for n in range(1, 30))
        ledger.handle(MembersChanged(members=tuple(map(member, (*DEVICES, *extra)))), 0.0)
        asked = [p.device for p in of(Ping, ledger.handle(GraphOpened(run=RUN, graph=GRAPH), 0.0))]
        assert len(asked) == 14
        for device in asked[:6]:
            assert ledger.handle(PingAnswered(device=device, alive=True), 0.1) == ()
        effects = ledger.handle(PingAnswered(device=asked[6], alive=True), 0.1)
        assert {p.body.committee.witnesses for p in of(Publish, effects)} == {tuple(asked[:7])}

    def test_a_run_that_is_cancelled_while_it_opens_reports_at_once(self) -> None:
        ledger, _ = self.begun(4)
        effects = ledger.handle(GraphClosed(run=RUN, detail="no longer wanted"), 1.1)
        closes = [p.body.reason for p in of(Publish, effects) if p.kind is Kind.CLOSE]
        assert closes == [CloseReason.CANCELLED] * len(GRAPH.tasks)

    @pytest.mark.parametrize("seed", range(4))
    def test_two_that_are_dead_already_delay_a_run_by_a_second(self, seed: int) -> None:
        dead = dict.fromkeys(DEVICES[4:6], 0.0)
        played = table(f"dead {seed}", count=6, crashes=dead)
        outcome = played.run(research(DEVICES[1:4]))
        assert outcome.status is RunStatus.COMPLETED
        assert outcome.seconds < 20
        for report in outcome.tasks:
            assert set(dead).isdisjoint(report.task.committee.witnesses)


class TestWhoComesBack:
    def lost(self, ledger: Ledger, device: DeviceId, at: float) -> tuple[Effect, ...]:
        effects: tuple[Effect, ...] = ()
        for miss in range(3):
            effects = ledger.handle(PingAnswered(device=device, alive=False), at + miss)
        return effects

    def closes(self, effects: tuple[Effect, ...]) -> list[Any]:
        return [p.body for p in of(Publish, effects) if p.kind is Kind.CLOSE]

    def test_a_placed_task_waits_a_little_for_its_device(self) -> None:
        ledger, (_, placed, _) = opened(timeout_seconds=300)
        assert self.closes(self.lost(ledger, OTHER, 1.0)) == []
        assert self.closes(ledger.handle(TimerFired(name="tick"), 7.9)) == []
        close, follows = self.closes(ledger.handle(TimerFired(name="tick"), 8.0))
        assert (close.task, close.reason) == (placed.id, CloseReason.LOST)
        assert follows.reason is CloseReason.FAILED

    def test_it_goes_on_when_the_device_answers_again(self) -> None:
        ledger, (_, placed, _) = opened(timeout_seconds=300)
        self.lost(ledger, OTHER, 1.0)
        ledger.handle(PingAnswered(device=OTHER, alive=True), 7.0)
        effects = ledger.handle(TimerFired(name="tick"), 7.5)
        assert OTHER in [send.to for send in of(Send, effects)], "it is offered again at once"
        assert self.closes(ledger.handle(TimerFired(name="tick"), 9.0)) == []
        mine = claim(placed, 1, grants=grants(placed, OTHER, 1))
        assert ledger.handle(said(OTHER, mine), 9.1)

    def test_what_a_device_held_is_offered_again_as_soon_as_it_answers_from_another_process(
        self,
    ) -> None:
        ledger, (task, *_) = opened(timeout_seconds=300)
        ledger.handle(PingAnswered(device=WORKER, alive=True, process="first"), 1.0)
        ledger.handle(said(WORKER, claim(task, 1, grants=grants(task, WORKER, 1))), 1.1)
        same = ledger.handle(PingAnswered(device=WORKER, alive=True, process="first"), 2.5)
        assert not of(Send, same)
        effects = ledger.handle(PingAnswered(device=WORKER, alive=True, process="second"), 4.0)
        assert [s.message.epoch for s in of(Send, effects) if isinstance(s.message, LetGo)] == [1]
        ticks = (
            ledger.handle(TimerFired(name="tick"), at) for at in (4.5 + n / 2 for n in range(14))
        )
        offers = [send for effects in ticks for send in of(Send, effects)]
        those = [s.to for s in offers if isinstance(s.message, Offer) and s.message.task == task.id]
        assert list(dict.fromkeys(those))[-1] == WORKER, "it has failed at it, so it comes last"

    def test_near_the_time_limit_it_does_not_wait(self) -> None:
        ledger, _ = opened(timeout_seconds=6)
        self.lost(ledger, OTHER, 1.0)
        assert self.closes(ledger.handle(TimerFired(name="tick"), 3.5))
