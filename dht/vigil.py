"""Watching the neighbours: who is gone is noticed in a round; what it held gets a new holder.

Guards: the cost follows what happens. Only holders ask, and only neighbours that were not heard
from; rounds grow rarer while all of them live; each departure is mended by one holder of a key, not
by all. (Reliability at the price of the failures that are seen: Mahajan, Castro, Rowstron 2003.)
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from kademlia.node import Node as KademliaNode

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht.handover import keys_shared
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.routing import SILENCES, Peer

SHORTEST: Final = 60.0  # seconds between rounds: at first, and after somebody was gone
_RARER: Final = 1.5  # times longer after a round in which nobody was
_ROUNDS: Final = 2  # in which a death can go unnoticed, and the death of who should have noticed
_GATHERED: Final = 1.0  # seconds in which departures are handled together
_GONE: Final = 64  # waiting; what more of them leave is found by republishing
_MOST: Final = 1024  # keys mended after one gathering of departures


class Vigil:
    """One node's part in it. Belongs to the loop's thread.

    `mend` offers a key's records to the nodes that should hold them. `longest`: seconds between
    rounds among neighbours that stay.
    """

    def __init__(
        self, protocol: HiveProtocol, mend: Callable[[bytes], Awaitable[None]], longest: float
    ) -> None:
        self._protocol, self.mend, self._longest = protocol, mend, longest
        self._router, self._storage = protocol.router, protocol.storage
        self._id: int = self._router.node.long_id
        self._loop = asyncio.get_running_loop()
        self._gone: dict[bytes, Peer] = {}
        self._busy = False
        self._shortest = min(SHORTEST, longest)
        self._pace, self._due = self._shortest, 0.0
        self._router.left = self.missed

    async def round(self) -> None:
        """When it is time: ask the neighbours that were not heard from since the last round."""
        now = self._loop.time()
        if now < self._due or not self._holds():
            return
        silent, self._pace = now - self._pace, min(self._longest, self._pace * _RARER)
        self._due = now + self._pace
        due = [peer for peer in self._router.neighbours() if peer.heard <= silent]
        await asyncio.gather(*map(self._look_after, due))

    async def _look_after(self, peer: Peer) -> None:
        """A neighbour that does not answer is asked until the table lets it go."""
        for _ in range(SILENCES):
            with contextlib.suppress(NetworkError, ProtocolError):
                await self._protocol.call(peer.contact, "ping")
                return

    def missed(self, peer: Peer) -> None:
        """Somebody was silent and is out of the table: look often for a while, fill its places."""
        self._pace = self._shortest
        self._due = min(self._due, self._loop.time() + self._pace)
        if not self._holds() or len(self._gone) >= _GONE:
            return
        self._gone[peer.public] = peer
        if not self._busy:
            self._busy = self._protocol.spawn(self._work, "pockethive-vigil")

    def _holds(self) -> bool:
        return self._storage.count > 0 and not self._protocol.transport.client

    async def _work(self) -> None:
        """The nearest holder that is left acts, for all k places: it may be new in that."""
        try:
            while self._gone:
                await asyncio.sleep(_GATHERED)
                gone, self._gone = self._gone, {}
                keys = dict.fromkeys(
                    key
                    for peer in gone.values()
                    for key in keys_shared(self._router, self._storage, peer)
                )
                # Whoever came when the departed one may have been gone already, or a little before,
                # may have been left to him, and hold nothing.
                before = min(peer.heard for peer in gone.values()) - _ROUNDS * self._pace
                for key in [key for key in keys if self._nearest(key, before)][:_MOST]:
                    await self.mend(key)
        finally:
            self._busy = False

    def _nearest(self, key: bytes, before: float) -> bool:
        """Whether nobody is nearer to a key of those known since before a time."""
        goal = int.from_bytes(key, "big")
        near = self._router.find_neighbors(KademliaNode(key))
        return not any(p.since < before and p.long_id ^ goal < self._id ^ goal for p in near)
