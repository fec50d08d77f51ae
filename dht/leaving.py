"""What a node does before it leaves: the records it holds go to those who stay.

Guards: bounded in records and seconds, so that a full store cannot keep a process from ending.
"""

import asyncio
import logging
from typing import Final

from pockethive.core.errors import NetworkError, ProtocolError, StorageError
from pockethive.dht.record import Record
from pockethive.dht.server import HiveServer

log = logging.getLogger(__name__)

MAX_RECORDS: Final = 1_000
_AT_ONCE: Final = 8


async def hand_over(server: HiveServer, seconds: float, limit: int = MAX_RECORDS) -> int:
    """Store live records again at the k nodes nearest to them; how many have a copy elsewhere.

    Those that nobody stored for longest come first. Ends after `seconds`, done or not.
    """
    if not server.protocol.router.peers():
        return 0
    waiting = server.storage.older_than(0.0, limit)
    waiting.reverse()  # `pop` takes the oldest first
    done = 0

    async def hand(record: Record) -> None:
        nonlocal done
        try:
            done += await server.publish(record) > 1
        except (NetworkError, ProtocolError, StorageError) as error:
            log.debug("a record is not handed over: %s", error)

    async def work() -> None:
        while waiting:
            await hand(waiting.pop())

    workers = [asyncio.create_task(work(), name="pockethive-leave") for _ in range(_AT_ONCE)]
    try:
        await asyncio.wait(workers, timeout=seconds)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return done
