"""Sealed datagrams: the key conversion, tampering, replays, clocks."""

import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.dht.identity import Identity
from pockethive.dht.seal import MAX_DATAGRAM, MAX_PLAIN, OVERHEAD, WINDOW, Sealer, montgomery
from pockethive.dht.testing import NOW, somebody

ANNA, BERT = somebody("anna"), somebody("bert")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def sealer(identity: Identity, clock: Clock | None = None, salt: int = 1) -> Sealer:
    return Sealer(identity, clock or Clock(), lambda size: bytes([salt]) * size)


def reason(receiver: Sealer, datagram: bytes) -> str:
    with pytest.raises(ProtocolError) as caught:
        receiver.open(datagram)
    return caught.value.where


def test_the_key_conversion_agrees_with_libsodium() -> None:
    """Vector of libsodium's test/default/ed25519_convert."""
    seed = "421151a459faeade3d247115f94aedae42318124095afabe4d1451a559faedee"
    identity = Identity.from_seed(bytes.fromhex(seed))
    expected = "8052030376d47112be7f73ed7a019293dd12ad910b654455798b4667d73de166"
    assert identity.agreement_secret.hex() == expected
    expected = "f1814f0e8ff1043d8a44d25babff3cedcae6c22c3edaa48f857ae70de2baae50"
    assert montgomery(identity.public).hex() == expected


@given(st.binary(min_size=32, max_size=32))
def test_both_halves_of_a_converted_key_belong_together(seed: bytes) -> None:
    identity = Identity.from_seed(seed)
    secret = X25519PrivateKey.from_private_bytes(identity.agreement_secret)
    assert montgomery(identity.public) == secret.public_key().public_bytes_raw()


def test_what_is_sealed_for_a_device_opens_there_with_the_senders_key() -> None:
    datagram = sealer(ANNA).seal(BERT.public, b"good morning")
    assert len(datagram) == OVERHEAD + len(b"good morning")
    assert b"good morning" not in datagram
    assert sealer(BERT).open(datagram) == (ANNA.public, b"good morning")


def test_the_longest_plain_fills_a_datagram_and_one_more_byte_is_refused() -> None:
    assert len(sealer(ANNA).seal(BERT.public, bytes(MAX_PLAIN))) == MAX_DATAGRAM
    with pytest.raises(BadEncoding):
        sealer(ANNA).seal(BERT.public, bytes(MAX_PLAIN + 1))


def test_a_change_of_any_byte_is_noticed() -> None:
    datagram = sealer(ANNA).seal(BERT.public, b"pay 5")
    receiver = sealer(BERT)
    for place in range(len(datagram)):
        forged = bytearray(datagram)
        forged[place] ^= 1
        with pytest.raises(ProtocolError):
            receiver.open(bytes(forged))
    assert receiver.open(datagram) == (ANNA.public, b"pay 5")


def test_a_datagram_for_somebody_else_does_not_open() -> None:
    datagram = sealer(ANNA).seal(BERT.public, b"for bert")
    assert reason(sealer(somebody("carl")), datagram) == "seal"


def test_a_datagram_reflected_to_its_sender_does_not_open() -> None:
    anna = sealer(ANNA)
    assert reason(anna, anna.seal(BERT.public, b"hello")) == "key"


def test_a_replay_is_refused_and_reordering_is_not() -> None:
    anna, bert = sealer(ANNA), sealer(BERT)
    sent = [anna.seal(BERT.public, bytes([n])) for n in range(50)]
    for datagram in (*sent[25:], *sent[:25]):
        bert.open(datagram)
    assert {reason(bert, datagram) for datagram in sent} == {"replay"}


def test_what_falls_behind_the_replay_window_is_refused_though_never_seen() -> None:
    anna, bert = sealer(ANNA), sealer(BERT)
    late = anna.seal(BERT.public, b"late")
    for _ in range(2100):
        newest = anna.seal(BERT.public, b"")
    bert.open(newest)
    assert reason(bert, late) == "replay"


def test_a_restarted_receiver_refuses_what_was_sealed_long_ago() -> None:
    clock = Clock()
    datagram = sealer(ANNA, clock).seal(BERT.public, b"old")
    clock.now += WINDOW + 1
    assert reason(sealer(BERT, clock), datagram) == "clock"


def test_a_rebooted_sender_is_heard_although_its_counter_begins_anew() -> None:
    bert = sealer(BERT)
    for salt in range(1, 5):
        boot = sealer(ANNA, salt=salt)
        assert bert.open(boot.seal(BERT.public, b"up")) == (ANNA.public, b"up")


def test_no_nonce_is_used_twice_for_one_key() -> None:
    anna = sealer(ANNA)
    receivers = itertools.cycle([BERT, somebody("carl")])
    heads = {anna.seal(next(receivers).public, b"x")[:57] for _ in range(200)}
    assert len(heads) == 200


@pytest.mark.parametrize(
    "public",
    [
        (1).to_bytes(32, "little"),
        (2**255 - 19).to_bytes(32, "little"),
        b"\xff" * 32,
        b"short",
    ],
    ids=["neutral", "zero unreduced", "over the prime", "short"],
)
def test_keys_that_are_no_points_are_refused(public: bytes) -> None:
    with pytest.raises(BadEncoding):
        montgomery(public)


def test_a_key_of_low_order_is_refused() -> None:
    low = bytes(32)  # y = 0 is a point of order 4
    with pytest.raises(BadEncoding):
        sealer(ANNA).seal(low, b"x")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_with_a_reason(data: bytes) -> None:
    assert reason(sealer(BERT), b"\x01" + data) in {"size", "key", "seal"}
