"""Handing records to newcomers: who enters the routing table gets what it should now hold.

Guards: one holder gives, not all of them: the nearest to the key of those that can know the
newcomer. Others only ask, a little later, whether something is missing. What one newcomer is given
is bounded; stock kademlia hashes the hashed key here and gives to the wrong nodes.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from kademlia.node import Node as KademliaNode

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht.collect import Collector, store_all
from pockethive.dht.contact import Contact
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.routing import Peer, XorRoutingTable
from pockethive.dht.store import RecordStore

KEY_BITS: Final = 160
_GATHERED: Final = 1.0  # seconds in which newcomers are handled together
_SECOND_THOUGHTS: Final = 5.0  # seconds after which others see to what the nearest did not give
_FRESH: Final = 60.0  # seconds for which a newcomer is not yet taken for a holder
_NEWCOMERS: Final = 64  # waiting; what more of them lack is found by reads and by republishing
_REMEMBERED: Final = 4096
_MOST_TO_ONE: Final = 1024  # records handed to one newcomer


class HandOver:
    """One node's part in it. Belongs to the loop's thread."""

    def __init__(self, protocol: HiveProtocol) -> None:
        self._protocol, self._storage = protocol, protocol.storage
        self._router = protocol.router
        self._id: int = self._router.node.long_id
        self._loop = asyncio.get_running_loop()
        self._newcomers: dict[bytes, Peer] = {}
        self._fresh: OrderedDict[bytes, float] = OrderedDict()
        self._busy = False
        self._router.entered = self.met

    def met(self, peer: Peer) -> None:
        """Somebody entered the routing table, at a proven address."""
        now = self._loop.time()
        self._fresh[peer.public] = now
        self._fresh.move_to_end(peer.public)
        while len(self._fresh) > _REMEMBERED or next(iter(self._fresh.values())) <= now - _FRESH:
            self._fresh.popitem(last=False)
        idle = self._storage.count == 0 or self._protocol.transport.client
        if idle or len(self._newcomers) >= _NEWCOMERS:
            return
        self._newcomers[peer.public] = peer
        self._begin()

    def _begin(self) -> None:
        if not self._busy:
            self._busy = self._protocol.spawn(self._work, "pockethive-hand-over")

    async def _work(self) -> None:
        """Twice: what is ours beyond doubt; later what nearer holders may not have had to give.

        By then the newcomers hold nearly all of it, and say so.
        """
        try:
            await asyncio.sleep(_GATHERED)
            newcomers, self._newcomers = self._newcomers, {}
            given: dict[tuple[bytes, bytes], int] = {}  # by newcomer and key
            await self._round(newcomers, given, doubting=False)
            await asyncio.sleep(_SECOND_THOUGHTS)
            await self._round(newcomers, given, doubting=True)
        finally:
            self._busy = False
            if self._newcomers:
                self._begin()

    async def _round(
        self,
        newcomers: Mapping[bytes, Peer],
        given: dict[tuple[bytes, bytes], int],
        *,
        doubting: bool,
    ) -> None:
        for public, peer in newcomers.items():
            left = _MOST_TO_ONE - sum(n for (whom, _), n in given.items() if whom == public)
            for key in keys_shared(self._router, self._storage, peer):
                if (public, key) in given or left <= 0:
                    continue
                nearer = self._nearer(key)
                if (
                    self._nobody_else_can(nearer, peer)
                    if doubting
                    else newcomers.keys() >= nearer.keys()
                ):
                    sent = await self._hand(peer.contact, key)
                    given[public, key] = sent
                    left -= sent

    def _nearer(self, key: bytes) -> dict[bytes, Peer]:
        """Who is nearer to a key than this node."""
        goal = int.from_bytes(key, "big")
        near = self._router.find_neighbors(KademliaNode(key))
        return {peer.public: peer for peer in near if peer.long_id ^ goal < self._id ^ goal}

    def _nobody_else_can(self, nearer: Mapping[bytes, Peer], peer: Peer) -> bool:
        """Whether each that is nearer is new itself, or may have had no room for the newcomer."""
        since = self._loop.time() - _FRESH
        return not any(
            self._fresh.get(public, -_FRESH) <= since and self._has_room(other, peer)
            for public, other in nearer.items()
            if other is not peer
        )

    def _has_room(self, other: Peer, peer: Peer) -> bool:
        """Whether another's bucket for a contact cannot be full: fewer than k others belong there.

        There belongs who parts from the other's id at the same bit as the contact.
        """
        bits = (other.long_id ^ peer.long_id).bit_length()
        known = (self._id, *(each.long_id for each in self._router.peers() if each is not peer))
        there = sum((each ^ peer.long_id).bit_length() < bits for each in known)
        return bool(there < self._router.ksize)

    async def _hand(self, contact: Contact, key: bytes) -> int:
        """Give one newcomer a key's records that it lacks; how many were sent."""
        collector = Collector(self._protocol, key, self._storage.live(key), offering=True)
        try:
            await collector.question(contact)
        except (NetworkError, ProtocolError):
            return _MOST_TO_ONE  # it is gone again
        lacking = collector.lacking([contact]).get(contact, ())
        return await store_all(self._protocol, contact, lacking)


def keys_shared(router: XorRoutingTable, storage: RecordStore, peer: Peer) -> list[bytes]:
    """Keys held here for which a contact is, or was, among the k nearest, as far as is known."""
    others = [other.long_id for other in router.peers() if other.id != peer.id]
    low, high, near = neighbourhood(peer.long_id, [router.node.long_id, *others], router.ksize)
    first, last = (end.to_bytes(KEY_BITS // 8, "big") for end in (low, high))
    return [key for key in storage.keys_between(first, last) if near(key)]


def neighbourhood(
    point: int, others: Iterable[int], k: int
) -> tuple[int, int, Callable[[bytes], bool]]:
    """The keys to which `point` is among the k nearest: all lie in a range, and pass a test.

    Another is nearer to a key exactly when the key disagrees with `point` in the first bit in
    which that other does; so others count by that bit, and no distance is measured.
    """
    counts = Counter((other ^ point).bit_length() - 1 for other in others)
    must = sum(1 << bit for bit, count in counts.items() if count >= k)
    free = (~must & (2**KEY_BITS - 1)).bit_length()  # bits behind those that all must share
    few = [(1 << bit, count) for bit, count in counts.items() if count < k]

    def near(key: bytes) -> bool:
        apart = int.from_bytes(key, "big") ^ point
        return not apart & must and sum(count for bit, count in few if apart & bit) < k

    low = point >> free << free
    return low, low + (1 << free) - 1, near
