"""The routing table: kademlia's buckets, with the true XOR neighbours and no storms of pings.

Guards: contacts enter only with a proven address; a contact leaves after two silences in a row, not
after one lost datagram; buckets are aligned powers of two. On the wide Internet one subnet fills
neither a bucket nor the table, so that who rents one network does not surround a key (as libp2p and
S/Kademlia's successors do); private networks are one subnet by nature and are not limited.
"""

from collections.abc import Callable
from functools import cached_property

from kademlia.node import Node as KademliaNode
from kademlia.routing import KBucket, RoutingTable

from pockethive.dht import wire
from pockethive.dht.contact import Contact
from pockethive.dht.identity import node_id
from pockethive.dht.limits import is_public, subnet
from pockethive.dht.recent import Recent

SILENCES = 2
SUBNET_IN_BUCKET = 2
SUBNET_IN_TABLE = 10


class Peer(KademliaNode):  # type: ignore[misc]  # kademlia ships no types
    """A contact in kademlia's clothes: its id is derived from its key, never believed."""

    id: bytes
    long_id: int

    def __init__(self, contact: Contact) -> None:
        super().__init__(node_id(contact.public), contact.host, contact.port)
        self.contact = contact
        self.silences = 0
        self.since = self.heard = 0.0  # loop's clock: first known here, last heard from

    @property
    def public(self) -> bytes:
        return self.contact.public

    @cached_property
    def packed(self) -> bytes:
        """The contact as it travels."""
        return wire.pack_contact(self.contact)


class Bucket(KBucket):  # type: ignore[misc]  # kademlia ships no types
    """A bucket that splits into its own kind and does not read the machine's clock."""

    def touch_last_updated(self) -> None:
        """The table keeps the times, on the node's clock."""
        self.last_updated = 0.0

    def split(self) -> "tuple[Bucket, Bucket]":
        low, high = self.range
        middle = (low + high) // 2
        halves = Bucket(low, middle, self.ksize), Bucket(middle + 1, high, self.ksize)
        for peer in (*self.nodes.values(), *self.replacement_nodes.values()):
            halves[peer.long_id > middle].add_node(peer)
        for half in halves:
            half.last_updated = self.last_updated
        return halves


class XorRoutingTable(RoutingTable):  # type: ignore[misc]  # kademlia ships no types
    """Belongs to the loop's thread. `clock` is the loop's time."""

    buckets: list[Bucket]

    def __init__(
        self, protocol: object, ksize: int, node: KademliaNode, clock: Callable[[], float]
    ) -> None:
        self._clock = clock
        self.entered: Callable[[Peer], None] = _unheard  # told of contacts that are new in a bucket
        self.left: Callable[[Peer], None] = _unheard  # told of contacts that were silent and went
        self.recent = Recent()
        super().__init__(protocol, ksize, node)

    def flush(self) -> None:
        self.buckets = [Bucket(0, 2**160 - 1, self.ksize)]

    def get_bucket_for(self, node: KademliaNode) -> int:
        return self._place_of(node.long_id)

    def _place_of(self, number: int) -> int:
        low, high = 0, len(self.buckets) - 1
        while low < high:
            middle = (low + high) // 2
            if number <= self.buckets[middle].range[1]:
                high = middle
            else:
                low = middle + 1
        return low

    def add_contact(self, node: Peer) -> None:
        """Enter or refresh a contact whose address is proven. A full bucket keeps it in reserve."""
        if node.id == self.node.id:
            return
        bucket = self.buckets[self.get_bucket_for(node)]
        held = bucket.nodes.get(node.id)
        node.heard = self._clock()
        node.since = node.heard if held is None else held.since
        self.recent.note(node.contact, node.long_id, node.heard)
        if (held is None or held.ip != node.ip) and not self._spread(node, bucket):
            return
        while not bucket.add_node(node) and bucket.has_in_range(self.node):
            bucket.replacement_nodes.pop(node.id, None)
            self.split_bucket(self.get_bucket_for(node))
            bucket = self.buckets[self.get_bucket_for(node)]
        bucket.last_updated = node.heard
        if held is None and node.id in bucket.nodes:
            self.entered(node)

    def known(self, identifier: bytes) -> Peer | None:
        """The contact with this node id, if it is in a bucket."""
        number = int.from_bytes(identifier, "big")
        found = self.buckets[self._place_of(number)].nodes.get(identifier)
        return found if isinstance(found, Peer) else None

    def contact(self, public: bytes) -> Contact | None:
        """Where a device is, if it is in a bucket or was heard a moment ago."""
        peer = self.known(node_id(public))
        return self.recent.contact(public, self._clock()) if peer is None else peer.contact

    def start(self, target: bytes, count: int) -> list[Contact]:
        """With whom a search begins: so many of the table, and of those heard a moment ago."""
        node = KademliaNode(target)
        near = [peer.contact for peer in self.find_neighbors(node, count)]
        return near + self.recent.nearest(node.long_id, count, self._clock())

    def remove(self, public: bytes) -> None:
        """Whoever it is has no place here."""
        self.recent.forget(public)
        held = KademliaNode(node_id(public))
        self.remove_contact(held)

    def wants(self, node: Peer) -> bool:
        """Whether a contact is unknown here and its bucket has room."""
        bucket = self.buckets[self.get_bucket_for(node)]
        known = node.id in bucket.nodes or node.id == self.node.id
        return not known and len(bucket) < self.ksize

    def silent(self, node: Peer) -> bool:
        """Note that a contact did not answer; whether it is out, and a reserve has its place.

        Silence at an address that a contact has left says nothing about it.
        """
        self.recent.forget(node.public)
        held = self.known(node.id)
        if held is None:
            self.buckets[self.get_bucket_for(node)].replacement_nodes.pop(node.id, None)
            return True
        if held.contact.address != node.contact.address:
            return True
        held.silences += 1
        if held.silences >= SILENCES:
            self.remove_contact(held)
            self.left(held)
            return True
        return False

    def find_neighbors(
        self, node: KademliaNode, k: int | None = None, exclude: KademliaNode | None = None
    ) -> list[Peer]:
        """The k contacts nearest to `node` by XOR, nearest first: buckets in XOR order.

        A contact with the very id that is looked for is the nearest of all; kademlia leaves it out,
        and then nobody can be found by his id.
        """
        wanted, target = k or self.ksize, node.long_id
        found: list[Peer] = []
        for bucket in sorted(self.buckets, key=lambda bucket: _distance(bucket, target)):
            near = {peer.long_id ^ target: peer for peer in bucket.nodes.values()}
            found += [near[distance] for distance in sorted(near)]
            if len(found) > wanted:
                break
        if exclude is not None:
            found = [peer for peer in found[: wanted + 1] if peer.id != exclude.id]
        return found[:wanted]

    def within(self, target: int, reach: int) -> list[Peer]:
        """The contacts less than `reach` from a target, in no order."""
        return [
            peer
            for bucket in self.buckets
            if _distance(bucket, target) < reach
            for peer in bucket.nodes.values()
            if peer.long_id ^ target < reach
        ]

    def _spread(self, node: Peer, bucket: Bucket) -> bool:
        """Whether a newcomer's subnet has room in its bucket and in the table."""
        if not is_public(node.ip):
            return True
        net = subnet(node.ip)
        near = self._of(net, bucket, node.id)
        if near >= SUBNET_IN_BUCKET:
            return False
        return sum(self._of(net, each, node.id) for each in self.buckets) < SUBNET_IN_TABLE

    @staticmethod
    def _of(net: str, bucket: Bucket, but: bytes) -> int:
        peers = (*bucket.nodes.values(), *bucket.replacement_nodes.values())
        return sum(subnet(peer.ip) == net for peer in peers if peer.id != but)

    def neighbours(self) -> list[Peer]:
        """Who can be among the k nearest to a key together with this node: k to 2k contacts.

        They part from our id late: whole buckets from the nearest on, until there are k.
        """
        found: list[Peer] = []
        for bucket in sorted(self.buckets, key=lambda bucket: _distance(bucket, self.node.long_id)):
            found += bucket.nodes.values()
            if len(found) >= self.ksize:
                break
        return found

    def peers(self) -> list[Peer]:
        return [peer for bucket in self.buckets for peer in bucket.nodes.values()]

    def lonely_buckets(self, age: float = 3600.0) -> list[Bucket]:
        """Buckets that nothing happened in for `age` seconds."""
        return [b for b in self.buckets if b.last_updated < self._clock() - age]


def _unheard(peer: Peer) -> None:
    """Nobody waits for arrivals and departures."""


def _distance(bucket: Bucket, target: int) -> int:
    """The smallest XOR distance from `target` into an aligned bucket."""
    low, high = bucket.range
    width = (high - low).bit_length()
    return int(((low ^ target) >> width) << width)
