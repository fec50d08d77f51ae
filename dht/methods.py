"""What any peer may ask of a node's share of the DHT: nodes, records, news of a key.

Guards: every argument is checked for type and size, every answer is bounded, nothing here waits.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable
from typing import Any, Final

from kademlia.node import Node as KademliaNode

from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.dht import reasons, wire
from pockethive.dht.contact import Contact
from pockethive.dht.leases import Watchers
from pockethive.dht.reasons import Counts
from pockethive.dht.record import KEY_SIZE, MAX_RECORD, Record
from pockethive.dht.routing import Peer, XorRoutingTable
from pockethive.dht.store import RecordStore

DIGEST_SIZE: Final = 16  # bytes of a record's digest that name it in `find_value` and `fetch`
HEAD_SIZE: Final = 8  # bytes of a key that tell a contact whom the asker knows from others
MAX_HEADS: Final = 64
MAX_HELD: Final = 8  # records in one `hold`
MAX_LACKS: Final = 30  # records named in one `lacks`, which is one datagram
MAX_DIGESTS: Final = 512  # in one answer; the others are asked for with `names`
_NAME_SIZE: Final = KEY_SIZE + DIGEST_SIZE
_FRAMING: Final = 64  # bytes of MessagePack around contacts, digests and records
_FETCH_BYTES: Final = 6000  # of records in one answer to `fetch`: six datagrams


class Methods:
    """Answers from a routing table and a record store. Belongs to the loop's thread."""

    def __init__(self, router: XorRoutingTable, storage: RecordStore, counters: Counts) -> None:
        self._router, self._storage, self._counters = router, storage, counters
        self.watchers = Watchers()
        self.news: Callable[[Contact, bytes, bytes], int] = _not_watching
        self.before_looking: Callable[[], None] = lambda: None  # what was shown here is stored

    def answer(  # noqa: C901 - one line per method
        self, asker: Contact, method: str, arguments: list[Any]
    ) -> object:
        """What the method returns. Raises ProtocolError with a reason that the asker may hear."""
        match method, arguments:
            case "ping" | "seen", []:
                return 0 if method == "ping" else wire.pack_contacts([asker])
            case "find_node", [target]:
                return self._find_node(asker, wire.need(target, KEY_SIZE))
            case "find_value", [key]:
                return self._find_value(asker, wire.need(key, KEY_SIZE))
            case "offer", [key, digests]:
                return self._offer(asker, wire.need(key, KEY_SIZE), split_digests(digests))
            case "names", [key, after]:
                return self._names(wire.need(key, KEY_SIZE), wire.need(after, limit=DIGEST_SIZE))
            case "fetch", [key, digests]:
                return self._fetch(wire.need(key, KEY_SIZE), wire.need(digests))
            case "store", [data]:
                record = Record.decode(wire.need(data, limit=MAX_RECORD))
                return int(self._storage.add(record))
            case "deposit", [data, reach, known]:
                record = Record.decode(wire.need(data, limit=MAX_RECORD))
                bound = int.from_bytes(wire.need(reach, KEY_SIZE), "big")
                return self._deposit(asker, record, (bound, split_heads(known)))
            case "hold", [records]:
                found = [
                    wire.need(one, limit=MAX_RECORD) for one in wire.need_list(records, MAX_HELD)
                ]
                return self._hold([Record.decode(data) for data in found])
            case "lacks", [names]:
                return self._lacks(wire.need(names, limit=MAX_LACKS * _NAME_SIZE))
            case "watch", [key, int(seconds)]:
                return self._watch(asker, wire.need(key, KEY_SIZE), seconds)
            case "news", [key, digests]:
                return self.news(asker, wire.need(key, KEY_SIZE), wire.need(digests))
        raise ProtocolError("no such method, or not with these arguments", where=reasons.METHOD)

    def _find_node(self, asker: Contact, target: bytes) -> bytes:
        near = self._router.find_neighbors(KademliaNode(target), exclude=Peer(asker))
        return b"".join([peer.packed for peer in near])

    def _find_value(self, asker: Contact, key: bytes, known: Container[bytes] = ()) -> list[object]:
        """Contacts, digests of all records held, and those that fit and are not known already."""
        contacts = self._find_node(asker, key)
        self.before_looking()
        rows = self._storage.live_bytes(key)[:MAX_DIGESTS]
        inline: list[bytes] = []
        room = wire.MAX_FRAGMENT - _FRAMING - len(contacts) - DIGEST_SIZE * len(rows)
        for digest, data in rows:
            if len(data) <= room and digest[:DIGEST_SIZE] not in known:
                inline.append(data)
                room -= len(data)
        return [contacts, _digests(rows), inline]

    def _offer(self, asker: Contact, key: bytes, names: list[bytes]) -> list[object]:
        """The same, from one who keeps these records: this node need not offer them this hour."""
        self._storage.touch_named(key, names)
        return self._find_value(asker, key, frozenset(names))

    def _deposit(
        self, asker: Contact, record: Record, wanted: tuple[int, Container[bytes]]
    ) -> list[object]:
        """Whether the record is held now, and contacts near its key: who refuses knows some too."""
        try:
            held = self._storage.add(record)
        except ProtocolError as error:
            self._counters.note(error)
            held = False
        (reach, known), goal = wanted, int.from_bytes(record.key, "big")
        near = {
            peer.long_id ^ goal: peer
            for peer in self._router.within(goal, reach)
            if peer.public[:HEAD_SIZE] not in known and peer.public != asker.public
        }
        nearest = sorted(near)[: self._router.ksize]
        return [int(held), b"".join([near[distance].packed for distance in nearest])]

    def _hold(self, records: list[Record]) -> bytes:
        """For each record whether it is held now: others than those that were sent are no copies"""
        self._storage.join(records)
        return bytes([self._storage.has(one.key, one.digest[:DIGEST_SIZE]) for one in records])

    def _lacks(self, names: bytes) -> bytes:
        """For each record that is named by its key and digest whether it is not held here."""
        if len(names) % _NAME_SIZE:
            raise BadEncoding("a run of names that is cut", where=reasons.SHAPE)
        self.before_looking()
        cut = range(0, len(names), _NAME_SIZE)
        pairs = [(names[at : at + KEY_SIZE], names[at + KEY_SIZE : at + _NAME_SIZE]) for at in cut]
        return bytes([not self._storage.has(key, digest) for key, digest in pairs])

    def _watch(self, asker: Contact, key: bytes, seconds: int) -> bytes:
        """Grant or end a lease on news; digests of all records held, as far as they are named."""
        self.watchers.renew(key, asker, seconds, asyncio.get_running_loop().time())
        return _digests(self._storage.live_bytes(key)[:MAX_DIGESTS])

    def _names(self, key: bytes, after: bytes) -> bytes:
        """Digests of records held, in byte order, behind `after`: what comes or goes shifts none"""
        names = sorted(digest[:DIGEST_SIZE] for digest, _ in self._storage.live_bytes(key))
        return b"".join(names[bisect_right(names, after) :][:MAX_DIGESTS])

    def _fetch(self, key: bytes, digests: bytes) -> list[bytes]:
        """Records under a key by digest: as many as fit, at least one that is held."""
        names = {digests[i : i + DIGEST_SIZE] for i in range(0, len(digests), DIGEST_SIZE)}
        found: list[bytes] = []
        room = _FETCH_BYTES
        for digest, data in self._storage.live_bytes(key):
            if digest[:DIGEST_SIZE] in names and (len(data) <= room or not found):
                found.append(data)
                room -= len(data)
        return found


def split_digests(value: object) -> list[bytes]:
    """The digests in one run of bytes. Raises BadEncoding."""
    run = wire.need(value, limit=MAX_DIGESTS * DIGEST_SIZE)
    if len(run) % DIGEST_SIZE:
        raise BadEncoding("a run of digests that is cut", where=reasons.SHAPE)
    return [run[i : i + DIGEST_SIZE] for i in range(0, len(run), DIGEST_SIZE)]


def split_heads(value: object) -> frozenset[bytes]:
    """The heads of keys in one run of bytes. Raises BadEncoding."""
    run = wire.need(value, limit=MAX_HEADS * HEAD_SIZE)
    if len(run) % HEAD_SIZE:
        raise BadEncoding("a run of keys' heads that is cut", where=reasons.SHAPE)
    return frozenset([run[i : i + HEAD_SIZE] for i in range(0, len(run), HEAD_SIZE)])


def _digests(rows: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(digest[:DIGEST_SIZE] for digest, _ in rows)


def _not_watching(asker: Contact, key: bytes, digests: bytes) -> int:  # noqa: ARG001 - a default
    return 0
