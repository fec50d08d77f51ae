"""The ledger among liars and the dead: what it refuses, whom it names, what it looks at again."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.core import lifecycle
from pockethive.core.canonical import to_text
from pockethive.core.effects import Effect, Ping, Publish, Send, SetTimer
from pockethive.core.entry import CloseReason, Kind
from pockethive.core.errors import IllegalMove, ProtocolError
from pockethive.core.events import (
    EntryArrived,
    Event,
    GoalSubmitted,
    GraphClosed,
    GraphOpened,
    MembersChanged,
    MessageArrived,
    PingAnswered,
    SendFailed,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.graph import TaskGraph
from pockethive.core.lease import Accepted, Ack, ack_bytes
from pockethive.core.ledger import Ledger, LedgerSettings
from pockethive.core.ledger_opening import ANSWER_SECONDS
from pockethive.core.lifecycle import Move, Status
from pockethive.core.message import LetGo, Made, Progress, VerifyOffer
from pockethive.core.report import RunStatus
from pockethive.core.spec import Limits
from pockethive.core.task import DeviceId, Task
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    RUN,
    edge,
    entry,
    grants,
    member,
    output,
    planned,
    research,
    sha,
    sign,
    verdict,
    verify,
)
from tests.core.test_core_runs import table

OWNER, WORKER, OTHER = DEVICES[:3]
GRAPH = TaskGraph((planned("a"), planned("b", place=OTHER), planned("c", (edge("a", "b"),))))


def of(kind: type[Any], effects: tuple[Effect, ...]) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


def new_ledger(kind: type[Ledger] = Ledger, **limits: int) -> Ledger:
    """A ledger that was given a goal."""
    own = LedgerSettings(device=OWNER, owner_key=OWNER_KEY, limits=Limits(**limits))
    ledger = kind(own, verify)
    ledger.handle(GoalSubmitted(run=RUN, goal="why?", wall=1_900_000_000.0), 0.0)
    return ledger


def opened(
    devices: tuple[DeviceId, ...] = DEVICES[:4], graph: TaskGraph = GRAPH, **limits: int
) -> tuple[Ledger, list[Task]]:
    """A ledger with an open run whose tasks stand, and those tasks in order."""
    ledger = new_ledger(**limits)
    ledger.handle(MembersChanged(members=tuple(map(member, devices))), 0.0)
    effects = ledger.handle(GraphOpened(run=RUN, graph=graph), 0.0)
    for ping in of(Ping, effects):
        effects = ledger.handle(PingAnswered(device=ping.device, alive=True), 0.0)
    tasks = [publish.body for publish in of(Publish, effects)]
    for task in tasks:
        ledger.handle(EntryArrived(entry=entry(OWNER, task)), 0.1)
    return ledger, tasks


def said(sender: DeviceId, message: Made | Progress) -> MessageArrived:
    return MessageArrived(sender=sender, message=message)


def claim(task: Task, epoch: int, state: str = "claimed", reason: str = "", **how: Any) -> Progress:
    return Progress(task=task.id, epoch=epoch, state=state, reason=reason, **how)


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

    def test_an_accepted_value_that_nobody_here_can_prove_costs_an_attempt(self) -> None:
        ledger, (task, *_) = opened()
        shown = grants(task, WORKER, 9, Accepted(1, sha("x")))
        told = ledger.handle(said(WORKER, claim(task, 9, "accepted", sha("x"), grants=shown)), 1.0)
        assert [(send.to, send.message.epoch) for send in of(Send, told)] == [(WORKER, 9)]

    def test_a_claim_that_failed_has_overtaken_is_none(self) -> None:
        ledger, (task, *_) = opened()
        mine = claim(task, 1, grants=grants(task, WORKER, 1))
        assert ledger.handle(said(WORKER, mine), 1.0)
        assert ledger.handle(said(WORKER, claim(task, 1, "failed", "no idea")), 2.0)
        assert ledger.handle(said(WORKER, mine), 2.1) == ()
        again = claim(task, 2, grants=grants(task, WORKER, 2))
        assert ledger.handle(said(WORKER, again), 2.2)


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

    def test_near_the_time_limit_it_does_not_wait(self) -> None:
        ledger, _ = opened(timeout_seconds=6)
        self.lost(ledger, OTHER, 1.0)
        assert self.closes(ledger.handle(TimerFired(name="tick"), 3.5))


# What is refused changes nothing


def frozen(thing: Any, seen: dict[int, tuple[int, Any]] | None = None) -> Any:
    """Everything an object holds, as values that compare: a copy that cannot change."""
    seen = {} if seen is None else seen
    if isinstance(thing, str | bytes | int | float | bool | None):
        return thing
    if id(thing) in seen:
        return f"see {seen[id(thing)][0]}"
    seen[id(thing)] = len(seen), thing  # kept, or another thing would get its id
    if isinstance(thing, dict):
        return [(frozen(key, seen), frozen(value, seen)) for key, value in thing.items()]
    if isinstance(thing, list | tuple):
        return [frozen(item, seen) for item in thing]
    if isinstance(thing, set | frozenset):
        return sorted(map(repr, thing))
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    held = {name: getattr(thing, name, None) for name in slots} | getattr(thing, "__dict__", {})
    if not held or callable(thing):
        return repr(thing) if not callable(thing) else "callable"
    return [type(thing).__name__, frozen(held, seen)]


DEVICE = st.sampled_from(DEVICES[:4])
STATES = st.sampled_from(["claimed", "failed", "accepted", "checking", "unchecked"])


@st.composite
def events(draw: st.DrawFn, tasks: list[Task]) -> Event:
    """Something that may come to a ledger with these tasks: in order, out of order, or a lie."""
    task, device, epoch = draw(st.sampled_from(tasks)), draw(DEVICE), draw(st.integers(1, 4))
    holder, shown_epoch = draw(st.sampled_from([device, WORKER])), draw(st.sampled_from([epoch, 2]))
    accepted = draw(st.sampled_from([None, Accepted(1, sha("right"))]))
    shown = draw(st.sampled_from([(), grants(task, holder, shown_epoch, accepted)]))
    made = output(task.id, device, epoch)
    signed = to_text(sign(device, ack_bytes(task.id, 1, epoch, sha("right"))))
    ack = Ack(task=task.id, generation=1, epoch=epoch, output=sha("right"), signature=signed)
    letter = LetGo(task=task.id, epoch=epoch, reason="")
    offer = VerifyOffer(task=task.id, rank=0, entry=made, output=made)
    return draw(
        st.sampled_from(
            [
                said(device, claim(task, epoch, draw(STATES), sha("right"), grants=shown)),
                said(device, Made(entry=made, grants=shown)),
                said(device, Made(entry=verdict(output(task.id, holder, epoch), device))),
                said(
                    device,
                    Made(entry=verdict(output(task.id, holder, epoch), device, accept=False)),
                ),
                PingAnswered(device=device, alive=draw(st.booleans())),
                SendFailed(to=device, message=draw(st.sampled_from([letter, offer]))),
                WitnessAnswered(
                    ask=f"{task.id}#{epoch}",
                    witness=device,
                    answer=draw(st.sampled_from([None, ack])),
                ),
                TimerFired(name="tick"),
                GraphOpened(run=draw(st.sampled_from([RUN, RUN[::-1]])), graph=GRAPH),
            ]
        )
    )


def feed(ledger: Ledger, event: Event, now: float) -> tuple[Effect, ...] | ProtocolError:
    """The effects; or the error, of which the ledger must have kept nothing."""
    before = frozen(ledger)
    try:
        return ledger.handle(event, now)
    except ProtocolError as error:
        assert frozen(ledger) == before, f"{event} was refused and changed something"
        return error


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_refused_changes_nothing(data: st.DataObject) -> None:
    ledger, tasks = opened()
    now = 0.2
    for _ in range(data.draw(st.integers(1, 25))):
        now += data.draw(st.sampled_from([0.0, 0.4, 3.0, 20.0]))
        feed(ledger, data.draw(events(tasks)), now)


@pytest.mark.parametrize("move", [Move.CLAIM, Move.PROPOSE, Move.RETRY])
@pytest.mark.parametrize("status", [Status.READY, Status.CLAIMED, Status.PROPOSED])
def test_a_move_that_the_table_lacks_changes_nothing(
    move: Move, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every message that would make the move, to a ledger whose table lacks it."""
    ledger, (task, *_) = opened()
    mine = grants(task, WORKER, 1)
    if status is not Status.READY:
        ledger.handle(said(WORKER, claim(task, 1, grants=mine)), 0.5)
    if status is Status.PROPOSED:
        ledger.handle(said(WORKER, Made(entry=output(task.id, WORKER), grants=mine)), 0.6)
    reduced = {key: end for key, end in lifecycle.TABLE.items() if key != (status, move)}
    monkeypatch.setattr(lifecycle, "TABLE", reduced)
    later = grants(task, OTHER, 2, Accepted(1, sha("wrong")))
    messages = {
        Move.CLAIM: [said(OTHER, claim(task, 2, grants=later))],
        Move.PROPOSE: [said(OTHER, Made(entry=output(task.id, OTHER, 2), grants=later))],
        Move.RETRY: [
            said(OTHER, claim(task, 2, "accepted", sha("wrong"), grants=later)),
            *([] if status is Status.READY else [said(WORKER, claim(task, 1, "failed"))]),
        ],
    }
    for message in messages[move]:
        assert isinstance(feed(ledger, message, 1.0), IllegalMove)


# What is looked at again


class Eager(Ledger):
    """Looks at every task whenever it looks at any: what the ledger's agenda must not change."""

    def _tend_run(self, run: Any, now: float) -> Iterator[Effect]:
        run.agenda.mark_all()
        yield from super()._tend_run(run, now)


@pytest.mark.parametrize("seed", range(8))
def test_looking_only_at_what_changed_has_the_same_effects(seed: int) -> None:
    chain = (planned(f"t-{n}", (edge(f"t-{n - 1}"),) if n else ()) for n in range(6))
    graph = TaskGraph((*chain, *research(DEVICES[1:4]).tasks))
    played = table(
        f"eager {seed}",
        count=5,
        loss=0.05,
        doubled=0.1,
        crashes={DEVICES[3]: 1.0 + seed},
        liars=frozenset({DEVICES[4]}),
    )
    played.run(graph, seconds=900.0)
    lines = [line for line in played.transcript if line.machine == "ledger"]
    own = LedgerSettings(device=OWNER, owner_key=OWNER_KEY, limits=Limits())
    careful, eager = Ledger(own, verify), Eager(own, verify)
    for line in lines:
        expected = eager.handle(copy.copy(line.event), line.at)
        assert careful.handle(line.event, line.at) == expected == line.effects


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_comes_the_agenda_misses_nothing(data: st.DataObject) -> None:
    ledger, tasks = opened()
    eager = copy.deepcopy(ledger)
    eager.__class__ = Eager
    now = 0.2
    for _ in range(data.draw(st.integers(1, 40))):
        now += data.draw(st.sampled_from([0.0, 0.4, 3.0, 20.0]))
        event = data.draw(events(tasks))
        assert str(feed(ledger, event, now)) == str(feed(eager, event, now))
