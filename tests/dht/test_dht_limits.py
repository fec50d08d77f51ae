"""Token buckets: floods are paid for, peers are heard meanwhile, memory is bounded."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import ProtocolError
from pockethive.dht.limits import Buckets, Gate, Limits, is_loopback, is_public, subnet
from pockethive.dht.node import Node
from pockethive.dht.seal import Sealer
from pockethive.dht.simulation import PORT, VirtualTransport, World
from pockethive.dht.testing import play, somebody
from tests.dht.listening import count_agreements

STEPS = st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 30)), max_size=60)


@given(STEPS)
def test_no_history_takes_more_than_the_burst_and_what_time_brought(
    steps: list[tuple[float, float]],
) -> None:
    buckets, now, taken = Buckets(rate=7.0, burst=20.0), 0.0, 0.0
    for wait, cost in steps:
        now += wait
        if buckets.take("net", cost, now):
            taken += cost
        assert taken <= 20.0 + 7.0 * now + 1e-6


def test_a_bucket_that_is_empty_fills_again_and_others_are_apart() -> None:
    buckets = Buckets(rate=10.0, burst=5.0)
    assert [buckets.take("a", 1.0, 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert buckets.take("b", 5.0, 0.0)
    assert not buckets.take("a", 2.0, 0.1)
    assert buckets.take("a", 1.0, 0.1)


def test_the_table_is_bounded_and_forgets_the_least_recently_used() -> None:
    buckets = Buckets(rate=1.0, burst=1.0, most=3)
    for name in "abc":
        assert buckets.take(name, 1.0, 0.0)
    assert not buckets.take("a", 1.0, 0.0)
    assert buckets.take("d", 1.0, 0.0)  # pushes b out
    assert not buckets.take("a", 1.0, 0.0)
    assert buckets.take("b", 1.0, 0.0)
    assert len(buckets._held) == 3


def test_a_bucket_that_is_full_again_is_forgotten_when_others_come() -> None:
    buckets = Buckets(rate=1.0, burst=2.0)
    for number in range(50):
        assert buckets.take(number, 2.0, 0.0)
    assert len(buckets._held) == 50
    for number in range(60):  # two go for one that comes, while there are such
        assert buckets.take(f"later {number}", 2.0, 2.0 + number / 100)
    assert len(buckets._held) == 60
    assert not buckets.take("later 59", 1.0, 2.6)


def refused(gate: Gate, host: str, times: int, *, known: bool = False) -> int:
    count = 0
    for _ in range(times):
        try:
            gate.datagram(host, known, 0.0)
        except ProtocolError:
            count += 1
    return count


def test_a_subnet_pays_ten_times_for_first_contacts_and_apart_from_its_known_peers() -> None:
    gate = Gate(Limits(subnet=100.0, burst=1.0, first=10.0))
    assert refused(gate, "203.0.113.5", 15) == 5
    assert refused(gate, "203.0.113.99", 5) == 5
    assert refused(gate, "203.0.113.99", 110, known=True) == 10
    assert refused(gate, "203.0.114.5", 5) == 0


def test_first_contacts_from_everywhere_together_have_a_limit() -> None:
    gate = Gate(Limits(firsts=100.0, burst=1.0, first=10.0))
    dropped = [refused(gate, f"203.0.{n}.1", 1) for n in range(30)]
    assert sum(dropped) == 20
    assert refused(gate, "203.0.200.1", 50, known=True) == 0


def test_subnets_are_24_bits_of_ipv4_and_48_of_ipv6() -> None:
    assert subnet("203.0.113.5") == subnet("203.0.113.77") != subnet("203.0.114.5")
    assert subnet("2001:db8:1::5") == subnet("2001:0db8:0001:ffff::1") != subnet("2001:db8:2::5")
    assert subnet("fe80::1%2") == subnet("fe80::77%3")


def test_loopback_and_private_addresses_are_told_from_the_wide_internet() -> None:
    assert is_loopback("127.0.0.5")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")
    assert is_public("8.8.8.8")
    assert is_public("2a00:1450::1")
    for host in ("10.1.2.3", "192.168.1.1", "127.0.0.1", "::1", "fe80::1%2", "a name", "fd00::1"):
        assert not is_public(host)


class Ears(asyncio.DatagramProtocol):
    """Hears nothing."""


def test_a_flood_from_one_subnet_is_dropped_unopened_and_peers_are_answered_meanwhile() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        victim, friend = nodes
        victim.serve("echo", lambda peer, body: body)
        rng = random.Random(1)
        floods = [VirtualTransport(world.net, Ears(), (f"10.66.6.{n}", PORT)) for n in range(1, 5)]
        keys = [Sealer(somebody(f"flood {n}"), world.clock, rng.randbytes) for n in range(40)]
        sealer = count_agreements(victim)
        for second in range(10):
            for n in range(600):
                forged = bytearray(keys[n % 40].seal(victim.identity.public, b"x"))
                forged[1:33] = rng.randbytes(32)
                floods[n % 4].sendto(bytes(forged), victim.contact.address)
            body = b"%d" % second
            assert await friend.request(victim.contact, "echo", body) == body
            await asyncio.sleep(1)
        assert victim.counters["flood"] > 3000
        assert sealer.agreed <= 400 + 10 * 200 + 300

    play(story, 2)


@pytest.mark.parametrize("loopback", [True, False])
def test_one_keys_messages_are_limited_after_it_is_authenticated(loopback: bool) -> None:
    gate = Gate(Limits(key=10.0, burst=1.0, loopback=loopback))
    assert gate.pays("127.0.0.1") is loopback
    gate.messages(b"a" * 32, 10, 0.0)
    with pytest.raises(ProtocolError) as caught:
        gate.messages(b"a" * 32, 1, 0.0)
    assert caught.value.where == "peer-flood"
    gate.messages(b"b" * 32, 10, 0.0)
