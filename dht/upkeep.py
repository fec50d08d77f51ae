"""What a node does unasked: expire, refresh, republish, repair holders after reads.

Guards: nothing here can prolong a record or bring an old one back, because storing is a join and
the expiry is signed. Work is shared: who offers a key's records to its holders tells them that
they need not do it in this hour. All of it is bounded for each round and each read.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

from kademlia.node import Node as KademliaNode

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht.collect import Collector, name, store_all
from pockethive.dht.contact import Contact
from pockethive.dht.lookup import Found
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.reach import Reach
from pockethive.dht.record import Record
from pockethive.dht.routing import Bucket, Peer
from pockethive.dht.settings import NodeSettings
from pockethive.dht.vigil import SHORTEST, Vigil

log = logging.getLogger(__name__)

_DUE: Final = 256  # records that one round of republishing looks at
_AUTHOR_FIRST: Final = 0.9  # of the interval: the author's turn, before the holders'
_ASKED_OF_A_BUCKET: Final = 2
_STRAY_TURN: Final = 0.25  # how often a node that is not among the k nearest takes its turn
_REPAIRS_OF_ONE: Final = 8  # records stored at one holder after one read
_REPAIRS_A_SECOND: Final = 8.0
_REPAIRS_IN_A_ROW: Final = 64.0
_AGAIN: Final = 600.0  # seconds until a holder is offered the same record again
_REMEMBERED: Final = 4096


class Keeper(Protocol):
    """What upkeep needs of a server."""

    protocol: HiveProtocol
    reach: Reach

    async def locate(self, target: bytes, *, careful: bool = False) -> Found:
        """The k nearest to a target."""

    async def gather(self, collector: Collector, *, careful: bool = False) -> Found:
        """Ask the k nearest to the collector's key, fetch what they have."""


class Upkeep:
    """One node's upkeep. Belongs to the loop's thread."""

    def __init__(self, server: Keeper, settings: NodeSettings, own: Contact) -> None:
        self._server, self._settings, self._public = server, settings, own.public
        self._protocol, self._storage = server.protocol, server.protocol.storage
        self._router = server.protocol.router
        self._id: int = self._router.node.long_id
        self._loop = asyncio.get_running_loop()
        self._random = server.protocol.random
        self.vigil = Vigil(server.protocol, self.republish, settings.republish)

    async def run(self) -> None:
        """Round after round, for ever. The node runs it as a task."""
        upkeep = self._settings.upkeep
        due = self._loop.time() + upkeep * self._random.uniform(0.5, 1.0)
        while True:
            await asyncio.sleep(min(SHORTEST, upkeep) * self._random.uniform(0.5, 1.0))
            try:
                await self.vigil.round()
                if self._loop.time() >= due:
                    due = self._loop.time() + upkeep * self._random.uniform(0.5, 1.0)
                    await self.tidy()
            except Exception:
                log.exception("a round of upkeep failed")

    async def tidy(self) -> None:
        """One round: expired records go, quiet buckets are asked about, due records republished,
        and it is seen to whether others can dial this node."""
        self._storage.sweep()
        for bucket in self._router.lonely_buckets():
            await self._refresh(bucket)
        for key in self._due():
            await self.republish(key)
        if await self._server.reach.review():
            await self._server.locate(self._router.node.id)  # to be known to its neighbours anew

    async def _refresh(self, bucket: Bucket) -> None:
        """Ask the least recently heard of a quiet bucket; search it when anything has changed."""
        bucket.last_updated = self._loop.time()
        target = self._random.randint(*bucket.range).to_bytes(20, "big")
        oldest = list(islice(bucket.nodes.values(), _ASKED_OF_A_BUCKET))
        calm = await asyncio.gather(*(self._calm(peer.contact, target) for peer in oldest))
        if not calm or not all(calm):
            await self._server.locate(target)

    async def _calm(self, contact: Contact, target: bytes) -> bool:
        """Whether a contact answers, and names nobody for whom our table has room."""
        try:
            answer = await self._protocol.call(contact, "find_node", target)
            named = self._protocol.contacts(answer, contact)
        except (NetworkError, ProtocolError):
            return False
        return not any(self._router.wants(Peer(one)) for one in named)

    def near(self, key: bytes) -> bool:
        """Whether this node is among the k nearest to a key, as far as it knows."""
        if self._protocol.transport.client:
            return False
        near = self._router.find_neighbors(KademliaNode(key))
        goal = int.from_bytes(key, "big")
        return len(near) < self._router.ksize or near[-1].long_id ^ goal > self._id ^ goal

    async def republish(self, key: bytes) -> None:
        """Offer a key's records to its k nearest: they take what they lack, and give what we do."""
        collector = Collector(self._protocol, key, self._storage.live(key), offering=True)
        found = await self._server.gather(collector)
        if not found.contacts:
            return
        mine = frozenset(record.digest for record in self._storage.live(key))
        self._storage.join(r for r in collector.merged if r.digest not in mine)
        for contact, records in collector.lacking(found.contacts).items():
            await store_all(self._protocol, contact, records)
        for contact in found.late:  # it was not waited for, and may live and be the nearest
            self._give(contact, collector.merged)
        self._storage.touch_named(key, collector.records)

    def _give(self, contact: Contact, records: Sequence[Record]) -> None:
        async def give() -> None:
            await store_all(self._protocol, contact, records)

        self._protocol.spawn(give, "pockethive-late")

    def _due(self) -> list[bytes]:
        """Keys with records that nobody offered here lately, and that it is our turn to offer."""
        interval = self._settings.republish
        old = self._storage.older_than(interval, _DUE)
        own = self._storage.older_than(interval * _AUTHOR_FIRST, _DUE)
        keys = dict.fromkeys(record.key for record in own if record.author == self._public)
        for key in dict.fromkeys(record.key for record in old):
            if key in keys or self.near(key) or self._random.random() < _STRAY_TURN:
                keys[key] = None
            else:
                self._storage.touch_named(
                    key, [name(record) for record in old if record.key == key]
                )
        return list(keys)


class Repairs:
    """Stores at holders what a read found that they lack: in background, rationed."""

    def __init__(self, protocol: HiveProtocol) -> None:
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._tokens, self._at = _REPAIRS_IN_A_ROW, self._loop.time()
        self._done: OrderedDict[tuple[bytes, bytes], float] = OrderedDict()

    def repair(self, lacking: Mapping[Contact, Iterable[Record]]) -> None:
        """Begin to store what may be stored now; the rest is left to the next read."""
        for contact, records in lacking.items():
            some = islice(records, _REPAIRS_OF_ONE)
            todo = [record for record in some if self._pays(contact, record)]
            if todo:

                async def work(contact: Contact = contact, todo: list[Record] = todo) -> None:
                    await store_all(self._protocol, contact, todo)

                self._protocol.spawn(work, "pockethive-repair")

    def _pays(self, contact: Contact, record: Record) -> bool:
        now, what = self._loop.time(), (contact.public, name(record))
        gained = (now - self._at) * _REPAIRS_A_SECOND
        self._tokens, self._at = min(_REPAIRS_IN_A_ROW, self._tokens + gained), now
        last = self._done.get(what)
        if self._tokens < 1 or (last is not None and now - last < _AGAIN):
            return False
        self._tokens -= 1
        self._done[what] = now
        self._done.move_to_end(what)
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return True
