"""What any peer may ask of a node's share of the DHT: ping, find_node, find_value, fetch, store.

Guards: every argument is checked for type and size, every answer is bounded, nothing here waits.
"""

from typing import Any, Final

from kademlia.node import Node as KademliaNode

from pockethive.core.errors import ProtocolError
from pockethive.dht import reasons, wire
from pockethive.dht.contact import Contact
from pockethive.dht.record import KEY_SIZE, MAX_RECORD, Record
from pockethive.dht.routing import Peer, XorRoutingTable
from pockethive.dht.store import RecordStore

DIGEST_SIZE: Final = 16  # bytes of a record's digest that name it in `find_value` and `fetch`
MAX_DIGESTS: Final = 256
_FRAMING: Final = 64  # bytes of MessagePack around contacts, digests and records
_FETCH_BYTES: Final = 6000  # of records in one answer to `fetch`: six datagrams


class Methods:
    """Answers from a routing table and a record store. Belongs to the loop's thread."""

    def __init__(self, router: XorRoutingTable, storage: RecordStore) -> None:
        self._router, self._storage = router, storage

    def answer(self, asker: Contact, method: str, arguments: list[Any]) -> object:
        """What the method returns. Raises ProtocolError with a reason that the asker may hear."""
        match method, arguments:
            case "ping", []:
                return 0
            case "find_node", [target]:
                return self._find_node(asker, wire.need(target, KEY_SIZE))
            case "find_value", [key]:
                return self._find_value(asker, wire.need(key, KEY_SIZE))
            case "fetch", [key, digests]:
                return self._fetch(wire.need(key, KEY_SIZE), wire.need(digests))
            case "store", [data]:
                record = Record.decode(wire.need(data, limit=MAX_RECORD))
                return int(self._storage.add(record))
        raise ProtocolError("no such method, or not with these arguments", where=reasons.METHOD)

    def _find_node(self, asker: Contact, target: bytes) -> bytes:
        near = self._router.find_neighbors(KademliaNode(target), exclude=Peer(asker))
        return wire.pack_contacts([peer.contact for peer in near])

    def _find_value(self, asker: Contact, key: bytes) -> list[object]:
        """Contacts, digests of all records held, and the records that fit into the datagram."""
        contacts = self._find_node(asker, key)
        rows = self._storage.live_bytes(key)[:MAX_DIGESTS]
        inline: list[bytes] = []
        room = wire.MAX_FRAGMENT - _FRAMING - len(contacts) - DIGEST_SIZE * len(rows)
        for _, data in rows:
            if len(data) <= room:
                inline.append(data)
                room -= len(data)
        digests = b"".join(digest[:DIGEST_SIZE] for digest, _ in rows)
        return [contacts, digests, inline]

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
