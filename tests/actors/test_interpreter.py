"""The effect interpreter: it carries, it never decides; mailbox and virtual loop drive it alike."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from pockethive.actors.interpreter import Interpreter, Machine
from pockethive.actors.interpreter_actor import MAX_DUE, InterpreterActor, Post, PostFrom
from pockethive.actors.letters import Mailbox
from pockethive.core.coordinator import Coordinator
from pockethive.core.effects import AskWitness, Effect, PlanGoal, Send, SetTimer
from pockethive.core.errors import BadEncoding
from pockethive.core.events import (
    CancelRequested,
    Event,
    GoalSubmitted,
    MessageArrived,
    PlanningFailed,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.lease import ReadEpoch
from pockethive.core.message import LetGo
from pockethive.core.spec import Limits
from pockethive.core.task import DeviceId, RunId, TaskId

DEVICE = DeviceId("A" * 43)
RUN = RunId("0" * 32)
WITNESS = DeviceId("B" * 43)

LOG: tuple[tuple[float, Event], ...] = (
    (0.0, GoalSubmitted(run=RUN, goal="find the lighthouse", wall=1_800_000_000.0)),
    (0.5, GoalSubmitted(run=RunId("1" * 32), goal="count the boats", wall=1_800_000_000.5)),
    (1.0, PlanningFailed(run=RUN, reason="no device holds documents")),
    (2.0, CancelRequested(run=RunId("1" * 32), reason="the caller left")),
    (9.0, TimerFired(name="nobody:knows")),
)


@dataclass
class Recorder:
    """Hands that only remember."""

    performed: list[tuple[str, Effect]] = field(default_factory=list)

    def perform(self, effects: Sequence[tuple[str, Effect]]) -> None:
        self.performed.extend(effects)


@dataclass
class Clock:
    """A clock that stands where it is put."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class Echo:
    """A machine that asks and sets timers under names that another one uses, too."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
        self.heard.append(event)
        if isinstance(event, GoalSubmitted):
            ask = AskWitness(ask="1", witness=WITNESS, request=ReadEpoch(task=TaskId("t")))
            return (ask, SetTimer(name="tick", at=now + 1))
        return ()


def replay(log: tuple[tuple[float, Event], ...]) -> list[tuple[str, Effect]]:
    """Drive the machines as a virtual loop does: events at times, nothing in between."""
    hands, clock = Recorder(), Clock()
    interpreter = Interpreter({"coordinator": Coordinator(DEVICE, Limits())}, hands, clock, DEVICE)
    for at, event in log:
        clock.now = at
        interpreter.feed(event)
    return hands.performed


def replay_by_mailbox(log: tuple[tuple[float, Event], ...]) -> list[tuple[str, Effect]]:
    """Drive the same machines by a mailbox on a thread."""
    hands, clock = Recorder(), Clock()
    times = iter(at for at, _ in log)

    class Paced(Coordinator):
        def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
            return super().handle(event, next(times))

    interpreter = Interpreter({"coordinator": Paced(DEVICE, Limits())}, hands, clock, DEVICE)
    actor = InterpreterActor(interpreter)
    ref = actor.launch()
    for _, event in log:
        ref.ask(Post(event), timeout=10)
    actor.stop()
    assert actor.join(10)
    return hands.performed


def test_one_recorded_log_gives_the_same_effects_through_both_drivers() -> None:
    by_loop = replay(LOG)
    assert by_loop == replay_by_mailbox(LOG)
    assert any(isinstance(effect, PlanGoal) for _, effect in by_loop)


def test_answers_find_the_machine_that_asked() -> None:
    first, second = Echo(), Echo()
    hands = Recorder()
    interpreter = Interpreter({"first": first, "second": second}, hands, Clock(), DEVICE)
    interpreter.feed(GoalSubmitted(run=RUN, goal="x", wall=0.0), to="second")

    ask, timer = (effect for _, effect in hands.performed)
    assert isinstance(ask, AskWitness)
    assert isinstance(timer, SetTimer)
    interpreter.feed(WitnessAnswered(ask=ask.ask, witness=WITNESS, answer=None))
    interpreter.feed(TimerFired(name=timer.name))

    assert first.heard == []
    assert second.heard[1:] == [
        WitnessAnswered(ask="1", witness=WITNESS, answer=None),
        TimerFired(name="tick"),
    ]


def test_what_a_peer_did_against_the_protocol_does_not_end_the_interpreter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard = threading.Event()

    class Strict:
        def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
            if isinstance(event, TimerFired):
                raise BadEncoding("not canonical")
            heard.set()
            return ()

    echo = Echo()
    machines: dict[str, Machine] = {"strict": Strict(), "echo": echo}
    actor = InterpreterActor(Interpreter(machines, Recorder(), Clock(), DEVICE))
    ref = actor.launch()
    ref.tell(Post(TimerFired(name="x")))
    ref.tell(Post(CancelRequested(run=RUN, reason="")))
    assert heard.wait(10)
    actor.stop()
    assert actor.join(10)
    assert "TimerFired was dropped by the strict: not canonical" in caplog.text
    assert len(echo.heard) == 2


def test_a_letter_to_oneself_is_fed_at_once_and_one_to_another_device_is_handed_out() -> None:
    letter = LetGo(task=TaskId("t"), epoch=1, reason="")

    class Writer:
        def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
            if isinstance(event, GoalSubmitted):
                return (Send(to=DEVICE, message=letter), Send(to=WITNESS, message=letter))
            return ()

    echo, hands = Echo(), Recorder()
    interpreter = Interpreter({"writer": Writer(), "echo": echo}, hands, Clock(), DEVICE)
    interpreter.feed(GoalSubmitted(run=RUN, goal="x", wall=0.0), to="writer")
    assert echo.heard == [MessageArrived(sender=DEVICE, message=letter)]
    assert hands.performed == [("writer", Send(to=WITNESS, message=letter))]


def test_letters_that_wait_together_have_their_effects_begun_together() -> None:
    handed: list[int] = []
    held, go = threading.Event(), threading.Event()

    class Slow:
        def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
            if isinstance(event, TimerFired):
                held.set()
                assert go.wait(10)
            return (SetTimer(name="tick", at=now),)

    class Counter:
        def perform(self, effects: Sequence[tuple[str, Effect]]) -> None:
            handed.append(len(effects))

    actor = InterpreterActor(Interpreter({"slow": Slow()}, Counter(), Clock(), DEVICE))
    ref = actor.launch()
    ref.tell(Post(TimerFired(name="first")))
    assert held.wait(10)
    for _ in range(MAX_DUE + 4):
        ref.tell(Post(CancelRequested(run=RUN, reason="")))
    go.set()
    ref.ask(Post(CancelRequested(run=RUN, reason="")), timeout=10)
    actor.stop()
    assert actor.join(10)
    assert handed == [MAX_DUE, 6]


class Gate:
    """A machine that notes on which thread it hears what, and can be held or broken."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.held, self.go = threading.Event(), threading.Event()

    def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
        assert isinstance(event, TimerFired)
        if event.name == "wait":
            self.held.set()
            assert self.go.wait(10)
        if event.name == "break":
            raise RuntimeError("broken")
        self.heard.append((event.name, threading.current_thread().name))
        return (SetTimer(name=event.name, at=now),)


def brought(name: str) -> PostFrom:
    return PostFrom(lambda: (TimerFired(name=name),), "gate")


def test_who_would_only_wait_drives_the_machines_itself_and_never_while_another_does() -> None:
    gate, hands = Gate(), Recorder()
    actor = InterpreterActor(Interpreter({"gate": gate}, hands, Clock(), DEVICE))
    ref = actor.launch()
    here = threading.current_thread().name
    assert actor.drive(brought("mine"))
    assert gate.heard == [("mine", here)]
    assert hands.performed == [("gate", SetTimer(name="gate|mine", at=0.0))]
    ref.tell(Post(TimerFired(name="wait")))
    assert gate.held.wait(10)
    assert not actor.drive(brought("too soon"))
    gate.go.set()
    ref.ask(brought("last"), timeout=10)
    actor.stop()
    assert actor.join(10)
    assert gate.heard == [("mine", here), ("wait", actor.name), ("last", actor.name)]
    assert len(hands.performed) == 3
    assert not actor.drive(brought("too late"))


def test_a_letter_that_comes_while_another_thread_drives_is_taken_next_by_the_actor() -> None:
    gate = Gate()
    actor = InterpreterActor(Interpreter({"gate": gate}, Recorder(), Clock(), DEVICE))
    ref = actor.launch()
    driver = threading.Thread(target=actor.drive, args=(brought("wait"),), name="agent")
    driver.start()
    assert gate.held.wait(10)
    reply = ref.request(Post(TimerFired(name="letter")))
    gate.go.set()
    reply.get(timeout=10)
    driver.join(10)
    actor.stop()
    assert actor.join(10)
    assert gate.heard == [("wait", "agent"), ("letter", actor.name)]


def test_what_a_machine_crashes_with_on_another_thread_is_the_crash_of_the_interpreter() -> None:
    gate, hands = Gate(), Recorder()
    ends: list[BaseException | None] = []
    actor = InterpreterActor(Interpreter({"gate": gate}, hands, Clock(), DEVICE))
    mailbox = Mailbox("interpreter")
    ref = actor.launch(mailbox, lambda _, error: ends.append(error))
    several = PostFrom(lambda: (TimerFired(name="one"), TimerFired(name="break")), "gate")
    assert not actor.drive(several)
    assert not actor.drive(brought("after"))
    ref.tell(brought("after"))
    assert actor.join(10)
    assert [str(error) for error in ends] == ["broken"]
    assert [name for name, _ in gate.heard] == ["one"]
    assert len(hands.performed) == 1
