"""Pykka's gaps, one story each: starting, bounds, dead letters, time limits, crashes."""

import threading
from typing import Any

import pytest
from pykka import ActorRegistry, ThreadingActor

from pockethive.actors.base import BaseActor, Ref, Unhandled
from pockethive.actors.letters import DeadLetters, Mailbox, Reply
from pockethive.core.errors import ActorFailure, SkillFailure
from tests.actors.parrots import WAIT, Break, Launch, Parrot, Say, busy


class Stillborn(BaseActor):
    def on_start(self) -> None:
        raise OSError("no such device")


class Sleeper(BaseActor):
    start_seconds = 0.01

    def __init__(self) -> None:
        super().__init__()
        self.wake = threading.Event()

    def on_start(self) -> None:
        self.wake.wait(WAIT)


def test_a_crash_in_on_start_reaches_whoever_starts_the_actor() -> None:
    with pytest.raises(ActorFailure, match="could not start: OSError: no such device") as caught:
        Stillborn().launch()
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(ActorFailure, match="no such device"):
        Stillborn.start()  # Pykka's own way to start it, too
    assert ActorRegistry.get_by_class(Stillborn) == []


def test_a_start_that_hangs_is_an_error_after_its_time_limit() -> None:
    actor = Sleeper()
    with pytest.raises(ActorFailure, match=r"did not start within 0\.01 s"):
        actor.launch()
    actor.wake.set()
    assert actor.join(WAIT)


def test_a_full_mailbox_refuses_at_once_and_never_grows(launch: Launch) -> None:
    ref = launch(Parrot(), Mailbox("parrot", limit=2))
    go = busy(ref)
    asked = ref.request(Say("one"))
    ref.tell(Say("two"))
    for _ in range(3):
        with pytest.raises(ActorFailure, match=r"parrot: the mailbox is full \(2 messages\)"):
            ref.tell(Say("three"))
        with pytest.raises(ActorFailure, match="Say was refused"):
            ref.request(Say("three"))
    assert ref.waiting == 2
    go.set()
    assert asked.get(timeout=WAIT) == "one"
    assert ref.ask(Say("four"), timeout=WAIT) == "four"


def test_an_actor_stops_though_its_mailbox_is_full(launch: Launch) -> None:
    actor = Parrot()
    ref = launch(actor, Mailbox("parrot", limit=1))
    go = busy(ref)
    ref.tell(Say("one"))
    stopped = actor.actor_ref.stop(block=False)
    go.set()
    assert stopped.get(timeout=WAIT)
    assert actor.heard == ["one"]  # Pykka's promise: what came before the stop is handled


def test_letters_left_at_the_stop_are_counted_and_their_askers_told(launch: Launch) -> None:
    letters = DeadLetters()
    mailbox = Mailbox("parrot", dead_letters=letters)
    ref = launch(Parrot(), mailbox)
    go = busy(ref)
    asked, told = ref.request(Say("one")), Say("two")
    ref.tell(told)
    mailbox.close()
    with pytest.raises(ActorFailure, match="parrot: has stopped and did not handle Say"):
        asked.get(timeout=WAIT)
    assert [letter.message for letter in letters.recent] == [Say("one"), told]
    go.set()


def test_a_message_to_a_stopped_actor_is_refused_and_counted(launch: Launch) -> None:
    letters = DeadLetters()
    mailbox = Mailbox("parrot", dead_letters=letters)
    ref = launch(Parrot(), mailbox)
    mailbox.close()
    assert not ref.alive
    with pytest.raises(ActorFailure, match="has stopped"):
        ref.tell(Say("one"))
    with pytest.raises(ActorFailure, match="has stopped"):
        ref.ask(Say("two"), timeout=WAIT)
    assert letters.count == 2


def test_dead_letters_are_bounded_but_all_are_counted() -> None:
    letters = DeadLetters(kept=2)
    mailbox = Mailbox("nobody", dead_letters=letters)
    mailbox.close()
    for number in range(5):
        with pytest.raises(ActorFailure, match="nobody: has stopped"):
            Ref(mailbox).tell(Say(str(number)))
    assert letters.count == 5
    assert [letter.message for letter in letters.recent] == [Say("3"), Say("4")]


def test_an_ask_ends_at_its_time_limit_and_names_who_what_and_how_long(launch: Launch) -> None:
    parrot = Parrot()
    ref = launch(parrot, Mailbox("parrot"))
    go = busy(ref)
    with pytest.raises(ActorFailure, match=r"parrot: no answer to Say within 0\.01 s"):
        ref.ask(Say("too late"), timeout=0.01)
    go.set()
    assert ref.ask(Say("in time"), timeout=WAIT) == "in time"
    assert parrot.heard == ["in time"]  # what nobody waits for any more is not begun with


def test_a_deliberate_error_answers_an_ask_and_the_actor_goes_on(launch: Launch) -> None:
    ref = launch(Parrot())
    error = SkillFailure("nothing found")
    with pytest.raises(SkillFailure) as caught:
        ref.ask(Break(error), timeout=WAIT)
    assert caught.value is error
    assert ref.ask(Say("still here"), timeout=WAIT) == "still here"


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(1)])
def test_any_other_error_in_an_ask_ends_the_actor_and_is_told(
    launch: Launch, error: BaseException
) -> None:
    parrot = Parrot()
    ref = launch(parrot)
    with pytest.raises(ActorFailure, match=f"crashed on Break: {type(error).__name__}") as caught:
        ref.ask(Break(error), timeout=WAIT)
    assert caught.value.__cause__ is error
    assert parrot.join(WAIT)
    assert not ref.alive


def test_on_failure_hears_of_a_crash(launch: Launch) -> None:
    seen: list[BaseException | None] = []

    class Careful(Parrot):
        def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
            seen.append(exception_value)

    actor = Careful()
    error = ValueError("odd")
    launch(actor).tell(Break(error))
    assert actor.join(WAIT)
    assert seen == [error]


def test_a_message_of_unknown_type_is_a_dead_letter_and_no_crash(launch: Launch) -> None:
    letters = DeadLetters()
    ref = launch(Parrot(), Mailbox("parrot", dead_letters=letters))
    ref.tell({"a": "message of somebody who broadcasts"})
    with pytest.raises(Unhandled, match="does not know messages of type int"):
        ref.ask(7, timeout=WAIT)
    assert ref.ask(Say("still here"), timeout=WAIT) == "still here"
    assert letters.count == 2


def test_foreign_actors_survive_a_system_exit_in_one_of_ours(launch: Launch) -> None:
    class Foreign(ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            return message

    foreign = Foreign.start()
    actor = Parrot()
    launch(actor).tell(Break(SystemExit(1)))
    assert actor.join(WAIT)
    assert foreign.ask("alive?", timeout=WAIT) == "alive?"
    assert foreign.stop(timeout=WAIT)


def test_an_idle_actor_is_told_so(launch: Launch) -> None:
    class Idler(Parrot):
        idle_seconds = 0.001

        def __init__(self) -> None:
            super().__init__()
            self.idled = threading.Event()

        def on_idle(self) -> None:
            self.idled.set()

    actor = Idler()
    ref = launch(actor)
    assert actor.idled.wait(WAIT)
    assert ref.ask(Say("awake"), timeout=WAIT) == "awake"


def test_a_reply_calls_back_once_whether_settled_before_or_after() -> None:
    calls: list[str] = []
    reply = Reply()
    reply.when_done(lambda: calls.append("before"))
    reply.set(1)
    reply.when_done(lambda: calls.append("after"))
    assert calls == ["before", "after"]


def test_threads_carry_the_name_of_their_actor_and_are_daemons(launch: Launch) -> None:
    class Named(BaseActor):
        def on_receive(self, message: Any) -> Any:
            return threading.current_thread()

    ref = launch(Named(), Mailbox("device/reader"))
    thread = ref.ask(Say(""), timeout=WAIT)
    assert (thread.name, thread.daemon) == ("device/reader", True)
