"""Many records at once: what a node that was alone had not told anybody.

Guards: without company one transaction keeps them; with company each goes where it belongs, and not
more of them at a time than a lookup takes.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from pockethive.core.errors import ProtocolError
from pockethive.dht.record import Record
from pockethive.dht.server import HiveServer

AT_ONCE: Final = 8


async def publish_all(server: HiveServer, records: Sequence[Record]) -> int:
    """Store records here, and at the nodes nearest to their keys where there are any.

    Those that the rules refuse are passed over. Returns how many are held here now.
    """
    if not server.protocol.router.peers():
        return server.storage.join(records)
    turn = asyncio.Semaphore(AT_ONCE)

    async def publish(record: Record) -> bool:
        async with turn:
            try:
                return await server.publish(record) > 0
            except ProtocolError:
                return False

    return sum(await asyncio.gather(*map(publish, records)))
