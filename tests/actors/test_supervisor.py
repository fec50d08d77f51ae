"""Children crash, come back under their name with their letters, or are given up."""

import subprocess
import sys
import threading
from functools import partial
from typing import Any

import pytest
from pykka import ActorRegistry, ThreadingActor

from pockethive.actors.base import BaseActor, Ref
from pockethive.actors.supervisor import ChildSpec, Restart, Supervisor
from pockethive.core.errors import ActorFailure
from tests.actors.parrots import WAIT, Break, Hold, Parrot, Say, Watch, busy


def test_a_crashed_child_is_started_again_and_its_reference_stays_valid(
    supervisor: Supervisor, watch: Watch
) -> None:
    ref = supervisor.start(ChildSpec(name="parrot", factory=Parrot))
    error = ValueError("odd")
    ref.tell(Break(error))
    assert ref.ask(Say("again"), timeout=WAIT) == "again"
    assert supervisor.ref("parrot").ask(Say("by name"), timeout=WAIT) == "by name"
    assert watch.restarts == [("parrot", error)]
    assert ref.name == "device/parrot"


def test_letters_behind_the_one_that_crashed_wait_for_the_successor(supervisor: Supervisor) -> None:
    ref = supervisor.start(ChildSpec(name="parrot", factory=Parrot))
    other = supervisor.start(ChildSpec(name="other", factory=Parrot))
    go, go_other = busy(ref), busy(other)
    crash = ref.request(Break(ValueError("odd")))
    behind = [ref.request(Say(str(number))) for number in range(3)]
    beside = other.request(Say("beside"))
    go.set()
    with pytest.raises(ActorFailure, match="crashed on Break: ValueError: odd"):
        crash.get(timeout=WAIT)
    assert [reply.get(timeout=WAIT) for reply in behind] == ["0", "1", "2"]
    go_other.set()
    assert beside.get(timeout=WAIT) == "beside"
    assert supervisor.dead_letters.count == 0


def test_too_many_crashes_end_the_child_and_are_escalated(
    supervisor: Supervisor, watch: Watch
) -> None:
    ref = supervisor.start(ChildSpec(name="parrot", factory=Parrot, max_restarts=2))
    go = busy(ref)
    errors = [ValueError(str(number)) for number in range(3)]
    for error in errors:
        ref.tell(Break(error))
    behind = ref.request(Say("behind"))
    go.set()
    with pytest.raises(ActorFailure, match="has stopped"):
        behind.get(timeout=WAIT)
    assert watch.ended.wait(WAIT)
    assert watch.ends == [("parrot", errors[2])]
    assert [error for _, error in watch.restarts] == errors[:2]
    with pytest.raises(ActorFailure, match="has stopped"):
        ref.tell(Say("too late"))


def test_crashes_outside_the_window_are_forgiven() -> None:
    now = [0.0]
    supervisor = Supervisor("device", clock=lambda: now[0])
    spec = ChildSpec(name="parrot", factory=Parrot, max_restarts=1, window_seconds=10)
    ref = supervisor.start(spec)
    for _ in range(5):
        ref.tell(Break(ValueError("odd")))
        assert ref.ask(Say("again"), timeout=WAIT) == "again"
        now[0] += 11
    assert supervisor.stop(WAIT) == ()


def test_a_temporary_child_is_not_started_again(supervisor: Supervisor, watch: Watch) -> None:
    spec = ChildSpec(name="once", factory=Parrot, restart=Restart.TEMPORARY)
    ref = supervisor.start(spec)
    ref.tell(Break(ValueError("odd")))
    assert watch.ended.wait(WAIT)
    assert not ref.alive
    assert watch.restarts == []


def test_a_successor_that_cannot_start_counts_as_a_crash(
    supervisor: Supervisor, watch: Watch
) -> None:
    made: list[BaseActor] = []

    class OnceOnly(Parrot):
        def on_start(self) -> None:
            made.append(self)
            if len(made) > 1:
                raise OSError("gone")

    ref = supervisor.start(ChildSpec(name="parrot", factory=OnceOnly, max_restarts=3))
    ref.tell(Break(ValueError("odd")))
    assert watch.ended.wait(WAIT)
    assert len(made) == 4
    assert "could not start: OSError: gone" in str(watch.ends[0][1])


def test_a_child_that_cannot_start_is_an_error_for_the_starter_and_leaves_its_name_free(
    supervisor: Supervisor,
) -> None:
    class Stillborn(BaseActor):
        def on_start(self) -> None:
            raise OSError("no such device")

    with pytest.raises(ActorFailure, match="no such device"):
        supervisor.start(ChildSpec(name="parrot", factory=Stillborn, workers=2))
    with pytest.raises(ActorFailure, match="has no child named parrot"):
        supervisor.ref("parrot")
    supervisor.start(ChildSpec(name="parrot", factory=Parrot))
    with pytest.raises(ActorFailure, match="a child named parrot already"):
        supervisor.start(ChildSpec(name="parrot", factory=Parrot))


def test_a_faulty_hook_does_not_prevent_the_restart() -> None:
    def faulty(name: str, error: BaseException) -> None:
        raise RuntimeError("hook")

    supervisor = Supervisor("device", on_restart=faulty)
    ref = supervisor.start(ChildSpec(name="parrot", factory=Parrot))
    ref.tell(Break(ValueError("odd")))
    assert ref.ask(Say("again"), timeout=WAIT) == "again"
    assert supervisor.stop(WAIT) == ()


def test_workers_share_a_mailbox_and_one_that_crashes_does_not_hold_up_the_other(
    supervisor: Supervisor,
) -> None:
    ref = supervisor.start(ChildSpec(name="pair", factory=Parrot, workers=2))
    first = busy(ref)
    ref.tell(Break(ValueError("odd")))
    assert ref.ask(Say("by the second"), timeout=WAIT) == "by the second"
    second = busy(ref)
    waiting = ref.request(Say("by whoever is free first"))
    first.set()
    assert waiting.get(timeout=WAIT) == "by whoever is free first"
    second.set()


def test_children_stop_in_reverse_order() -> None:
    order: list[str] = []

    class Leaver(Parrot):
        def __init__(self, name: str) -> None:
            super().__init__()
            self._label = name

        def on_stop(self) -> None:
            order.append(self._label)

    supervisor = Supervisor("device")
    for name in ("model", "reader", "writer"):
        supervisor.start(ChildSpec(name=name, factory=partial(Leaver, name)))
    assert supervisor.stop(WAIT) == ()
    assert order == ["writer", "reader", "model"]
    with pytest.raises(ActorFailure, match="already stopping"):
        supervisor.start(ChildSpec(name="late", factory=Parrot))


def test_stopping_keeps_its_time_limit_and_names_who_is_busy() -> None:
    supervisor = Supervisor("device")
    supervisor.start(ChildSpec(name="quick", factory=Parrot))
    ref = supervisor.start(ChildSpec(name="slow", factory=Parrot))
    go = busy(ref)
    left = ref.request(Say("left"))
    assert supervisor.stop(0.01) == ("slow",)
    with pytest.raises(ActorFailure, match="has stopped"):
        left.get(timeout=WAIT)
    go.set()
    assert supervisor.stop(WAIT) == ()


def test_a_child_that_waits_for_another_does_not_hold_up_the_stop() -> None:
    supervisor = Supervisor("device")
    model = supervisor.start(ChildSpec(name="model", factory=Parrot))
    go = busy(model)
    begun = threading.Event()
    agent = supervisor.start(ChildSpec(name="agent", factory=partial(Asker, model, begun)))
    agent.tell(Say("to the model"))
    assert begun.wait(WAIT)
    assert supervisor.stop(0.4) == ("model",)  # the agent was answered, the model is busy
    go.set()
    assert supervisor.stop(WAIT) == ()


class Asker(BaseActor):
    """Passes on what it is told, as a question."""

    def __init__(self, whom: Ref, begun: threading.Event) -> None:
        super().__init__()
        self._whom, self._begun = whom, begun

    def on_receive(self, message: Any) -> Any:
        self._begun.set()
        return self._whom.ask(message, timeout=WAIT)


def test_a_crash_while_stopping_starts_nothing(watch: Watch) -> None:
    supervisor = Supervisor("device", on_restart=watch.on_restart)
    begun, go = threading.Event(), threading.Event()

    class Late(Parrot):
        def on_receive(self, message: Any) -> Any:
            super().on_receive(Hold(begun, go))
            raise ValueError("while stopping")

    ref = supervisor.start(ChildSpec(name="late", factory=Late))
    ref.tell(Say("begin"))
    assert begun.wait(WAIT)
    assert supervisor.stop(0.0) == ("late",)
    go.set()
    assert supervisor.stop(WAIT) == ()
    assert watch.restarts == []


def test_an_actor_may_stop_its_own_supervisor() -> None:
    class Quitter(BaseActor):
        def on_receive(self, message: Any) -> Any:
            return supervisor.stop(WAIT)

    supervisor = Supervisor("device")
    other = supervisor.start(ChildSpec(name="other", factory=Parrot))
    ref = supervisor.start(ChildSpec(name="quitter", factory=Quitter))
    assert ref.ask(Say("quit"), timeout=WAIT) == ()
    assert not other.alive
    assert supervisor.stop(WAIT) == ()


def test_a_child_stopped_by_somebody_else_is_not_a_crash(
    supervisor: Supervisor, watch: Watch
) -> None:
    actors: list[Parrot] = []

    def factory() -> Parrot:
        actors.append(Parrot())
        return actors[-1]

    ref = supervisor.start(ChildSpec(name="parrot", factory=factory))
    assert actors[0].actor_ref.stop(timeout=WAIT)
    assert not ref.alive
    assert (watch.restarts, watch.ends) == ([], [])


def test_two_supervisors_and_foreign_actors_live_side_by_side(supervisor: Supervisor) -> None:
    class Foreign(ThreadingActor):
        def __init__(self) -> None:
            super().__init__()
            self.heard: list[Any] = []

        def on_receive(self, message: Any) -> Any:
            self.heard.append(message)
            return tuple(self.heard)

    foreign = Foreign.start()
    ours = supervisor.start(ChildSpec(name="parrot", factory=Parrot))
    other = Supervisor("other")
    theirs = other.start(ChildSpec(name="parrot", factory=Parrot))
    ours.tell(Break(ValueError("odd")))
    assert ours.ask(Say("ours"), timeout=WAIT) == "ours"
    assert other.stop(WAIT) == ()
    assert not theirs.alive
    assert ours.ask(Say("ours still"), timeout=WAIT) == "ours still"
    assert foreign.ask("only this", timeout=WAIT) == ("only this",)
    ActorRegistry.stop_all(timeout=WAIT)  # what the embedding program may do passes us by
    assert not foreign.is_alive()
    assert ours.ask(Say("unhurt"), timeout=WAIT) == "unhurt"


def test_no_message_vanishes_while_a_child_crashes_and_is_given_up(watch: Watch) -> None:
    heard: list[str] = []
    supervisor = Supervisor("device", on_escalate=watch.on_escalate)
    spec = ChildSpec(name="parrot", factory=partial(Parrot, heard), workers=2, max_restarts=5)
    ref = supervisor.start(spec)
    answers: list[str] = []

    def send() -> None:
        for number in range(200):
            message = Break(ValueError("odd")) if number % 50 == 49 else Say("word")
            try:
                answers.append(ref.ask(message, timeout=WAIT))
            except ActorFailure as error:
                answers.append(str(error.__cause__ or "stopped"))

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(WAIT)
    assert watch.ended.is_set()
    assert len(answers) == 800  # everybody was answered
    assert answers.count("odd") >= 6  # five restarts, one end; the other worker may have had one
    assert answers.count("word") == len(heard)
    assert answers.count("stopped") == supervisor.dead_letters.count
    assert supervisor.stop(WAIT) == ()


def test_a_process_ends_though_an_actor_hangs() -> None:
    script = (
        "import threading\n"
        "from pockethive.actors.base import BaseActor\n"
        "class Hanging(BaseActor):\n"
        "    def on_receive(self, message):\n"
        "        message.set()\n"
        "        threading.Event().wait()\n"
        "begun = threading.Event()\n"
        "Hanging().launch().tell(begun)\n"
        "assert begun.wait(10)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_no_thread_is_left_after_a_stop() -> None:
    before = set(threading.enumerate())
    supervisor = Supervisor("device")
    refs = [
        supervisor.start(ChildSpec(name=f"parrot-{n}", factory=Parrot, workers=2)) for n in range(5)
    ]
    assert len(set(threading.enumerate()) - before) == 10
    refs[0].tell(Break(ValueError("odd")))
    assert supervisor.stop(WAIT) == ()
    assert set(threading.enumerate()) == before


def test_an_agent_s_crash_among_full_mailboxes_costs_nobody_a_message(
    supervisor: Supervisor,
) -> None:
    names = [f"agent {number}" for number in range(4)]
    heard: dict[str, list[str]] = {name: [] for name in names}
    refs = {
        name: supervisor.start(
            ChildSpec(name=name, factory=partial(Parrot, heard[name]), max_restarts=3)
        )
        for name in names
    }
    held = [busy(ref) for ref in refs.values()]
    replies = []
    for number in range(100):
        for name, ref in refs.items():
            if name == names[0] and number in (0, 50):
                ref.tell(Break(ValueError("odd")))
            replies.append(ref.request(Say(str(number))))
    for go in held:
        go.set()
    for reply in replies:
        reply.get(timeout=WAIT)
    wanted = [str(number) for number in range(100)]
    assert heard == dict.fromkeys(names, wanted), "its own wait for its successor"
    assert supervisor.dead_letters.count == 0
