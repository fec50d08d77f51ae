"""The hive's key: who can open it, what it encrypts, what a revoked device can still read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError
from pockethive.dht.hive_key import (
    BODY_OVERHEAD,
    KEY_SIZE,
    SEALED_SIZE,
    HiveKeys,
    open_key,
    seal_key,
)
from pockethive.dht.testing import somebody
from tests.hive.people import CHARTER, chance, generation_key, history

KEY = generation_key(1)


def test_only_the_devices_of_a_list_can_open_its_key() -> None:
    first, second = history(["a", "b", "c"], ["a", "c"])
    for one, names in ((first, "abc"), (second, "ac")):
        for name in "abcd":
            device = somebody(name)
            entry = one.of(device.public)
            assert (entry is not None) is (name in names)
            for other in one.members:
                if other is entry:
                    key = open_key(device, other.sealed, CHARTER.id, one.generation)
                    assert key == generation_key(one.generation)
                else:
                    with pytest.raises(BadSignature):
                        open_key(device, other.sealed, CHARTER.id, one.generation)
    assert generation_key(first.generation) != generation_key(second.generation)


def test_a_sealed_key_is_bound_to_hive_and_generation() -> None:
    anna = somebody("anna")
    sealed = seal_key(KEY, anna.public, CHARTER.id, 3, chance(1))
    assert len(sealed) == SEALED_SIZE
    assert open_key(anna, sealed, CHARTER.id, 3) == KEY
    for hive, generation in ((CHARTER.id, 4), (bytes(32), 3)):
        with pytest.raises(BadSignature):
            open_key(anna, sealed, hive, generation)


@given(st.binary(max_size=120))
def test_noise_is_no_sealed_key(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        open_key(somebody("anna"), data, CHARTER.id, 1)


@given(st.integers(0, SEALED_SIZE * 8 - 1))
def test_a_sealed_key_with_one_bit_changed_does_not_open(bit: int) -> None:
    sealed = bytearray(seal_key(KEY, somebody("anna").public, CHARTER.id, 1, chance(2)))
    sealed[bit // 8] ^= 1 << bit % 8
    if bit == 255:  # the bit that RFC 7748 tells every implementation to ignore
        return
    with pytest.raises(ProtocolError):
        open_key(somebody("anna"), bytes(sealed), CHARTER.id, 1)


@given(st.binary(max_size=2_000), st.binary(max_size=60))
def test_a_body_opens_as_it_was_and_only_in_its_place(plain: bytes, context: bytes) -> None:
    keys = HiveKeys({1: KEY})
    sealed = keys.seal(context, plain)
    assert len(sealed) == len(plain) + BODY_OVERHEAD
    assert plain not in sealed or len(plain) < 8
    assert keys.open(context, sealed) == plain
    with pytest.raises(BadSignature):
        keys.open(context + b"!", sealed)


def test_saying_a_thing_again_gives_the_same_bytes_and_another_thing_others() -> None:
    keys = HiveKeys({1: KEY})
    assert keys.seal(b"here", b"one") == keys.seal(b"here", b"one")
    nonces = {keys.seal(*said)[5:17] for said in ((b"here", b"one"), (b"there", b"one"))}
    nonces |= {keys.seal(b"here", b"two")[5:17], HiveKeys({2: KEY}).seal(b"here", b"one")[5:17]}
    assert len(nonces) == 4


def test_an_old_generation_stays_readable_and_a_new_one_is_closed_to_who_left() -> None:
    stayed, left = HiveKeys({1: KEY}), HiveKeys({1: KEY})
    before = stayed.seal(b"", b"before")
    stayed.add(2, generation_key(2))
    after = stayed.seal(b"", b"after")
    assert (stayed.open(b"", before), stayed.open(b"", after)) == (b"before", b"after")
    assert left.open(b"", before) == b"before"
    with pytest.raises(BadEncoding, match="no key of"):
        left.open(b"", after)
    with pytest.raises(BadEncoding):
        HiveKeys().seal(b"", b"")


@given(st.binary(max_size=100))
def test_noise_is_no_sealed_body(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        HiveKeys({1: KEY}).open(b"", data)


@pytest.mark.parametrize(("generation", "size"), [(0, KEY_SIZE), (2**32, KEY_SIZE), (1, 31)])
def test_a_key_out_of_bounds_is_refused(generation: int, size: int) -> None:
    with pytest.raises(BadEncoding):
        HiveKeys().add(generation, bytes(size))
