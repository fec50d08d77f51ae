"""The routing table: exact neighbours, aligned buckets, patience with silent contacts."""

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from kademlia.node import Node as KademliaNode

from pockethive.dht.contact import Contact
from pockethive.dht.routing import SUBNET_IN_BUCKET, SUBNET_IN_TABLE, Peer, XorRoutingTable


def table(peers: int, seed: int, ksize: int = 4) -> tuple[XorRoutingTable, list[Peer]]:
    rng = random.Random(seed)
    made = [Peer(Contact(rng.randbytes(32), "10.0.0.1", 1 + n)) for n in range(peers + 1)]
    router = XorRoutingTable(None, ksize, made[0], lambda: 0.0)
    for peer in made[1:]:
        router.add_contact(peer)
    return router, made[1:]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 150), st.integers(0, 10**6), st.binary(min_size=20, max_size=20))
def test_neighbours_are_the_nearest_by_xor_of_all_contacts_held(
    count: int, seed: int, target: bytes
) -> None:
    router, _ = table(count, seed)
    goal = KademliaNode(target)
    held = sorted(router.peers(), key=lambda peer: peer.long_id ^ goal.long_id)
    for k in (1, 4, 20):
        assert router.find_neighbors(goal, k) == held[:k]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 150), st.integers(0, 10**6))
def test_buckets_are_bounded_and_split_the_ids_into_aligned_ranges(count: int, seed: int) -> None:
    router, peers = table(count, seed)
    edges = [bucket.range for bucket in router.buckets]
    assert edges[0][0] == 0
    assert edges[-1][1] == 2**160 - 1
    for (_, high), (low, _) in itertools.pairwise(edges):
        assert low == high + 1
    for bucket in router.buckets:
        low, high = bucket.range
        assert low % (high - low + 1) == 0
        assert (high - low + 1).bit_count() == 1
        assert len(bucket.nodes) <= 4
        assert len(bucket.replacement_nodes) <= 20
    for peer in peers:
        assert router.buckets[router.get_bucket_for(peer)].has_in_range(peer)


def test_a_contact_leaves_after_two_silences_and_a_reserve_takes_its_place() -> None:
    router, _ = table(150, 3)
    bucket = next(b for b in router.buckets if b.replacement_nodes)
    victim = next(iter(bucket.nodes.values()))
    reserve = list(bucket.replacement_nodes.values())[-1]
    router.silent(victim)
    assert victim in router.peers()
    router.silent(victim)
    assert router.known(victim.id) is None
    assert router.known(reserve.id) is reserve


def test_this_node_is_never_in_its_own_table() -> None:
    router, _ = table(5, 1)
    router.add_contact(router.node)
    assert router.known(router.node.id) is None


def spread(hosts: list[str]) -> tuple[XorRoutingTable, dict[str, int]]:
    rng = random.Random(5)
    router = XorRoutingTable(None, 8, Peer(Contact(rng.randbytes(32), "9.9.9.9", 1)), lambda: 0.0)
    for host in hosts:
        router.add_contact(Peer(Contact(rng.randbytes(32), host, 1)))
    held: dict[str, int] = {}
    for peer in router.peers():
        net = peer.ip.rpartition(".")[0]
        held[net] = held.get(net, 0) + 1
    for bucket in router.buckets:
        nets = [peer.ip.rpartition(".")[0] for peer in bucket.nodes.values()]
        assert all(nets.count(net) <= SUBNET_IN_BUCKET for net in nets if net.startswith("8."))
    return router, held


def test_one_subnet_of_the_wide_internet_fills_neither_a_bucket_nor_the_table() -> None:
    crowd = [f"8.8.8.{n % 250 + 1}" for n in range(600)]
    others = [f"8.{n}.1.1" for n in range(9, 60)]
    _, held = spread([*crowd, *others])
    assert held["8.8.8"] <= SUBNET_IN_TABLE
    assert sum(net != "8.8.8" for net in held) > 20


def test_private_networks_are_one_subnet_and_are_not_limited() -> None:
    _, held = spread([f"192.168.1.{n % 250 + 1}" for n in range(600)])
    assert held["192.168.1"] > 30


def test_a_contact_with_the_very_id_that_is_looked_for_is_the_nearest() -> None:
    router, _ = table(100, 7)
    for peer in router.peers():
        assert router.find_neighbors(KademliaNode(peer.id), 3)[0] is peer


def test_silence_at_an_address_that_a_contact_has_left_does_not_count_against_it() -> None:
    router, peers = table(3, 1)
    old = Peer(Contact(peers[0].public, "10.0.0.99", 5))
    assert router.silent(old)
    assert router.silent(old)
    assert router.known(peers[0].id) is peers[0]
    assert peers[0].silences == 0
