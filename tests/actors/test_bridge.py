"""A live event loop beside actors: neither waits for the other."""

import asyncio
import threading
from concurrent.futures import CancelledError, Future

import pytest

from pockethive.actors.bridge import LoopBridge, ask_async
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


async def test_a_thread_runs_a_coroutine_on_the_loop() -> None:
    loop = asyncio.get_running_loop()
    bridge = LoopBridge(loop)

    async def double(number: int) -> int:
        assert asyncio.get_running_loop() is loop
        return 2 * number

    assert await asyncio.to_thread(lambda: bridge.call(double, 21).result(WAIT)) == 42


async def test_a_result_of_the_loop_comes_to_an_actor_as_a_message(launch: Launch) -> None:
    parrot = Parrot()
    ref = launch(parrot)
    bridge = LoopBridge(asyncio.get_running_loop())

    async def fetch() -> str:
        return "fetched"

    told = asyncio.Event()

    def tell(done: Future[str]) -> None:
        ref.tell(Say(done.result()))
        told.set()

    bridge.call_then(tell, fetch)
    await told.wait()
    await ask_async(ref, Say("next"), WAIT)
    assert parrot.heard == ["fetched", "next"]


async def test_what_a_coroutine_raises_comes_back() -> None:
    bridge = LoopBridge(asyncio.get_running_loop())

    async def broken() -> None:
        raise SkillFailure("nothing found")

    with pytest.raises(SkillFailure, match="nothing found"):
        await asyncio.wrap_future(bridge.call(broken))


async def test_cancelling_the_future_cancels_the_coroutine() -> None:
    bridge = LoopBridge(asyncio.get_running_loop())
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    future = bridge.call(endless)
    await begun.wait()
    future.cancel()
    await asyncio.wait_for(ended.wait(), WAIT)
    with pytest.raises(CancelledError):
        future.result(0)


async def test_closing_the_bridge_fails_open_calls_and_refuses_new_ones() -> None:
    bridge = LoopBridge(asyncio.get_running_loop())
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    open_call = bridge.call(endless)
    await asyncio.sleep(0)
    unbegun = bridge.call(endless)
    bridge.close()
    for future in (open_call, unbegun, bridge.call(endless)):
        with pytest.raises(ActorFailure, match="the event loop has ended"):
            future.result(0)
    await asyncio.wait_for(ended.wait(), WAIT)


def test_a_call_to_a_closed_loop_fails_cleanly() -> None:
    loop = asyncio.new_event_loop()
    bridge = LoopBridge(loop)
    loop.close()

    async def never() -> None:
        raise AssertionError

    failed: Future[None] = bridge.call(never)
    with pytest.raises(ActorFailure, match="the event loop has ended"):
        failed.result(0)
