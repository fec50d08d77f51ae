"""Thousands of hostile datagrams: counted drops, no exception in the loop, answers meanwhile."""

import asyncio
import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from pockethive.dht import wire
from pockethive.dht.node import Node
from pockethive.dht.record import sign_record
from pockethive.dht.rules import NOTE
from pockethive.dht.seal import Sealer
from pockethive.dht.testing import Receiver, hive, key, note, somebody

COUNT = 3000


def hostile(rng: random.Random, sealer: Sealer, victim: Node, seen: list[bytes]) -> bytes:
    """One datagram of one of the kinds that attackers try."""
    sealed = sealer.seal(victim.identity.public, plain(rng))
    match rng.randrange(6):
        case 0:
            return rng.randbytes(rng.randrange(1400))
        case 1:
            return sealed[: rng.randrange(len(sealed))]
        case 2:
            forged = bytearray(sealed)
            forged[rng.randrange(len(forged))] ^= 1 << rng.randrange(8)
            return bytes(forged)
        case 3:
            return rng.choice(seen) if seen else sealed
        case 4:
            return sealer.seal(somebody("else").public, b"not for the victim")
        case _:
            seen.append(sealed)
            return sealed


def plain(rng: random.Random) -> bytes:
    """What an authenticated peer may send: noise, odd heads, odd values, half messages."""
    kind = rng.choice([0, 0, 0, 1, 2, 3, 250])
    count = rng.choice([1, 1, 1, 2, 8, 9, 0])
    index = rng.randrange(count or 1) + rng.choice([0, 0, 0, 1])
    head = wire.HEAD.pack(kind, rng.getrandbits(64), index, count)
    method = rng.choice(
        [
            "ping",
            "find_node",
            "find_value",
            "fetch",
            "store",
            "deposit",
            "hold",
            "lacks",
            "ask",
            "x",
        ]
    )
    values = [odd(rng, 0) for _ in range(rng.randrange(4))]
    payload = wire.pack_request(method, values)
    return (head + rng.choice([payload, rng.randbytes(60), b"\x91" * 900]))[:1100]


def odd(rng: random.Random, depth: int) -> object:
    makers: list[Callable[[], object]] = [
        lambda: rng.randbytes(rng.choice([0, 19, 20, 32, 200])),
        lambda: rng.getrandbits(63),
        lambda: -1,
        lambda: None,
        lambda: 1.5,
        lambda: "text" * rng.randrange(9),
        lambda: key("place"),
        lambda: note(somebody("anna")).encode()[: rng.randrange(400)],
    ]
    if depth < 3:
        makers += [lambda: [odd(rng, depth + 1)] * 3, lambda: {"k": odd(rng, depth + 1)}]
    return rng.choice(makers)()


async def test_a_live_node_under_thousands_of_hostile_datagrams_answers_its_peers() -> None:
    rng = random.Random(20)
    failures: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    async with hive(None, None) as (victim, friend):
        clock = victim.settings.clock
        sealer = Sealer(somebody("attacker"), clock, rng.randbytes)
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=victim.contact.address
        )
        seen: list[bytes] = []
        victim.serve("echo", lambda peer, body: body)
        for number in range(COUNT):
            transport.sendto(hostile(rng, sealer, victim, seen))
            if number % 100 == 99:
                assert await friend.request(victim.contact, "echo", b"there?") == b"there?"
        record = sign_record(friend.identity, NOTE, key("k"), b"", int(clock()) + 60, b"kept")
        assert await friend.put(record) == 2
        assert await victim.get(record.key) == (record,)
        dropped = dict(victim.counters)
        transport.close()
        await asyncio.sleep(0)
    assert failures == []
    assert dropped.get("internal", 0) == 0
    assert sum(dropped.values()) > COUNT / 2
    assert {"size", "seal", "replay", "head", "msgpack", "shape"} <= dropped.keys()


METHODS = st.sampled_from(["ping", "find_value", "store", "deposit", "hold", "lacks", "ask"])
VALUES = st.lists(st.none() | st.integers(-9, 2**64 - 1) | st.binary(max_size=40), max_size=4)
PAYLOADS = st.binary(max_size=120) | st.builds(wire.pack_request, METHODS, VALUES)
PLACES = st.sampled_from([(0, 1), (0, 1), (0, 2), (1, 2), (1, 1), (0, 0), (7, 8), (0, 255)])
MESSAGES = st.builds(
    lambda kind, ident, place, payload: wire.HEAD.pack(kind, ident, *place) + payload,
    st.sampled_from([0, 0, 1, 2, 3, 0x80, 0x83, 9]),
    st.integers(0, 3),
    PLACES,
    PAYLOADS,
)
PLAINS = st.one_of(
    MESSAGES,
    st.lists(MESSAGES, min_size=2, max_size=6).map(lambda items: wire.bundle(items)[0]),
    st.binary(max_size=60).map(lambda data: b"\x04" + data),
    st.binary(max_size=60),
)


@given(st.lists(PLAINS, max_size=8))
async def test_whatever_a_sealed_datagram_holds_is_answered_or_counted(plains: list[bytes]) -> None:
    """And nothing is answered at length before its sender has shown where it is.

    A request may be in several fragments, of which the last is short: what counts is what was heard
    since the last answer.
    """
    ear, heard = Receiver(), 0
    for plain in plains:
        before = len(ear.line.sent)
        datagram = ear.sealer.seal(ear.public, plain)
        ear.hear(datagram)
        heard += len(datagram)
        said = sum(map(len, ear.line.sent[before:]))
        assert said <= heard
        heard = 0 if said else heard
    await asyncio.sleep(0)
    assert ear.protocol.counters["internal"] == 0
    for task in ear.protocol.stop():
        await asyncio.wait([task])


@given(st.binary(max_size=1300))
async def test_bytes_from_nowhere_are_counted_once_and_never_answered(data: bytes) -> None:
    ear = Receiver()
    for datagram in (data, b"\x01" + data):
        ear.hear(datagram)
    assert ear.line.sent == []
    assert ear.protocol.counters.total() == 2


@given(st.binary(max_size=40), st.integers(0, 2**64 - 1))
async def test_no_guessed_proof_is_believed(cookie: bytes, ident: int) -> None:
    ear = Receiver()
    ear.hear(ear.sealer.seal(ear.public, wire.HEAD.pack(wire.PROOF, ident, 0, 1) + cookie))
    assert dict(ear.protocol.counters) == {"proof": 1}
    assert not ear.protocol.proofs.holds(ear.sender.public, ("127.0.0.1", 9))
