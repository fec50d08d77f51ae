"""A reader of happenings that is slow, or reads nothing at all."""

import asyncio
import threading

from pockethive.core.report import Happening
from pockethive.core.task import RunId
from pockethive.unread import MAX_UNREAD, Unread

RUN = RunId("ab" * 16)


def told(number: int) -> Happening:
    return Happening(what="claimed", run=RUN, detail=str(number))


async def test_what_nobody_reads_is_bounded_and_what_gave_way_is_counted() -> None:
    unread = Unread(asyncio.get_running_loop())
    for number in range(5 * MAX_UNREAD):  # the loop has no turn meanwhile
        unread.put(told(number))
    assert len(unread) == MAX_UNREAD
    first, *rest = unread.take()
    assert (first.what, first.run, first.data) == ("missed", RUN, {"count": 4 * MAX_UNREAD})
    assert [one.detail for one in rest] == [str(n) for n in range(4 * MAX_UNREAD, 5 * MAX_UNREAD)]
    assert not unread


async def test_a_reader_that_keeps_up_misses_nothing_of_what_another_thread_tells() -> None:
    unread = Unread(asyncio.get_running_loop(), most=10_000)
    seen: list[Happening] = []

    def tell() -> None:
        for number in range(5_000):
            unread.put(told(number))

    teller = threading.Thread(target=tell)
    teller.start()
    async with asyncio.timeout(30):
        while len(seen) < 5_000:
            await unread.wait()
            seen += unread.take()
    teller.join()
    assert [one.detail for one in seen] == [str(n) for n in range(5_000)]
