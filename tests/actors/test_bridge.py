"""A live event loop beside actors: neither waits for the other."""

import asyncio
import threading
from functools import partial

import pytest

from pockethive.actors.bridge import MAX_CALLS, LoopBridge, ask_async
from pockethive.core.errors import ActorFailure, SkillFailure
from tests.actors.parrots import WAIT, Break, Launch, Parrot, Say, busy


async def test_the_loop_turns_while_an_actor_works(launch: Launch) -> None:
    ref = launch(Parrot())
    go = busy(ref)
    asking = asyncio.create_task(ask_async(ref, Say("done"), WAIT))
    turns = 0
    while turns < 100:  # the actor cannot go on before these turns have been made
        await asyncio.sleep(0)
        turns += 1
    assert not asking.done()
    threads = threading.active_count()
    more = [asyncio.create_task(ask_async(ref, Say(str(n)), WAIT)) for n in range(50)]
    await asyncio.sleep(0)
    assert threading.active_count() == threads  # nobody waits on a thread of its own
    go.set()
    assert await asking == "done"
    assert await asyncio.gather(*more) == [str(n) for n in range(50)]


async def test_errors_arrive_as_they_are(launch: Launch) -> None:
    parrot = Parrot()
    ref = launch(parrot)
    error = SkillFailure("nothing found")
    with pytest.raises(SkillFailure) as caught:
        await ask_async(ref, Break(error), WAIT)
    assert caught.value is error
    with pytest.raises(ActorFailure, match="crashed on Break: KeyError"):
        await ask_async(ref, Break(KeyError("odd")), WAIT)
    await asyncio.to_thread(parrot.join, WAIT)
    with pytest.raises(ActorFailure, match="has stopped"):
        await ask_async(ref, Say("anybody?"), WAIT)


async def test_an_ask_that_takes_too_long_fails_and_is_not_begun_with(launch: Launch) -> None:
    parrot = Parrot()
    ref = launch(parrot)
    go = busy(ref)
    with pytest.raises(ActorFailure, match=r"no answer to Say within 0\.01 s"):
        await ask_async(ref, Say("too late"), 0.01)
    go.set()
    assert await ask_async(ref, Say("in time"), WAIT) == "in time"
    assert parrot.heard == ["in time"]


async def test_a_cancelled_ask_is_not_begun_with(launch: Launch) -> None:
    parrot = Parrot()
    ref = launch(parrot)
    go = busy(ref)
    asking = asyncio.create_task(ask_async(ref, Say("unwanted"), WAIT))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    go.set()
    assert await ask_async(ref, Say("wanted"), WAIT) == "wanted"
    assert parrot.heard == ["wanted"]


async def test_a_blocking_ask_on_the_loop_is_refused(launch: Launch) -> None:
    ref = launch(Parrot())
    with pytest.raises(ActorFailure, match="use ask_async"):
        ref.ask(Say("and the loop stands still"), timeout=WAIT)


def test_an_answer_after_the_loop_was_closed_hurts_nobody(launch: Launch) -> None:
    ref = launch(Parrot())
    go = busy(ref)
    loop = asyncio.new_event_loop()
    asking = loop.create_task(ask_async(ref, Say("too late"), WAIT))
    loop.run_until_complete(asyncio.sleep(0))
    reply_waits = ref.waiting
    asking.cancel()
    loop.run_until_complete(asyncio.gather(asking, return_exceptions=True))
    loop.close()
    go.set()
    assert reply_waits == 1
    assert ref.ask(Say("well"), timeout=WAIT) == "well"


async def test_what_a_thread_hands_over_runs_on_the_loop_in_its_order() -> None:
    bridge, here = LoopBridge(asyncio.get_running_loop()), threading.get_ident()
    seen: list[tuple[int, int]] = []
    finished = asyncio.Event()

    def see(number: int) -> None:
        seen.append((number, threading.get_ident()))

    def hand_over() -> None:
        for number in range(3):
            bridge.hand(partial(see, number))
        bridge.hand(finished.set)

    await asyncio.to_thread(hand_over)
    await asyncio.wait_for(finished.wait(), WAIT)
    assert seen == [(number, here) for number in range(3)]


async def test_one_piece_of_work_that_fails_does_not_take_the_next_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bridge, finished = LoopBridge(asyncio.get_running_loop()), asyncio.Event()

    def broken() -> None:
        raise SkillFailure("nothing found")

    bridge.hand(broken)
    bridge.hand(finished.set)
    await asyncio.wait_for(finished.wait(), WAIT)
    assert "nothing found" in caplog.text


async def test_more_than_a_bounded_amount_of_work_is_refused() -> None:
    bridge = LoopBridge(asyncio.get_running_loop())
    for _ in range(MAX_CALLS):
        bridge.hand(lambda: None)
    with pytest.raises(ActorFailure, match="wait for the event loop already"):
        bridge.hand(lambda: None)
    await asyncio.sleep(0)
    bridge.hand(lambda: None)


async def test_a_result_of_the_loop_comes_to_an_actor_as_a_message(launch: Launch) -> None:
    parrot = Parrot()
    ref = launch(parrot)
    bridge = LoopBridge(asyncio.get_running_loop())
    told = asyncio.Event()

    async def fetch() -> str:
        return "fetched"

    def tell(done: asyncio.Task[str]) -> None:
        ref.tell(Say(done.result()))
        told.set()

    bridge.begin(fetch(), tell)
    await told.wait()
    await ask_async(ref, Say("next"), WAIT)
    assert parrot.heard == ["fetched", "next"]


async def test_closing_the_bridge_cancels_what_runs_and_refuses_the_rest() -> None:
    bridge = LoopBridge(asyncio.get_running_loop())
    begun = asyncio.Event()
    ended: asyncio.Queue[bool] = asyncio.Queue()

    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    bridge.begin(endless(), lambda task: ended.put_nowait(task.cancelled()))
    await begun.wait()
    begun.clear()
    bridge.hand(begun.set)
    bridge.close()
    assert await asyncio.wait_for(ended.get(), WAIT)
    assert not begun.is_set()
    with pytest.raises(ActorFailure, match="the event loop has ended"):
        bridge.hand(begun.set)
    with pytest.raises(ActorFailure, match="the event loop has ended"):
        bridge.begin(endless(), lambda _: None)


async def test_no_more_than_a_bounded_number_of_coroutines_runs_at_once() -> None:
    bridge = LoopBridge(asyncio.get_running_loop())
    ended = asyncio.Event()

    async def patient() -> None:
        await asyncio.Event().wait()

    for _ in range(MAX_CALLS):
        bridge.begin(patient(), lambda _: ended.set())
    with pytest.raises(ActorFailure, match="open already"):
        bridge.begin(patient(), lambda _: None)
    bridge.close()
    await asyncio.wait_for(ended.wait(), WAIT)


def test_work_for_a_closed_loop_is_refused_cleanly() -> None:
    loop = asyncio.new_event_loop()
    bridge = LoopBridge(loop)
    loop.close()
    with pytest.raises(ActorFailure, match="the event loop has ended"):
        bridge.hand(lambda: None)
