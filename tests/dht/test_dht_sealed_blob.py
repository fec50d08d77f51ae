"""Private blobs: unreadable without their key, unreadable when anything was changed."""

import io

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.core.errors import ProtocolError
from pockethive.dht import sealed_blob
from pockethive.dht.blobs import Audience, BlobStore
from pockethive.dht.chunks import CHUNK
from pockethive.dht.sealed_blob import KEY_SIZE, PLAIN, open_blob, opened, seal_blob
from pockethive.dht.testing import hive, somebody

PRIVATE = b"".join(bytes([number]) * PLAIN for number in range(3)) + b"the end"


def plain_of(store: BlobStore, name: str, key: bytes) -> bytes:
    return b"".join(open_blob(store, name, key))


@pytest.mark.parametrize("size", [0, 1, PLAIN - 1, PLAIN, PLAIN + 1, 3 * PLAIN])
def test_what_was_sealed_opens_with_its_key(size: int) -> None:
    store = BlobStore()
    data = bytes(size)
    name, key = seal_blob(store, data)
    assert plain_of(store, name, key) == data
    again, other = seal_blob(store, io.BytesIO(data))
    assert again != name, "each blob has a key of its own"
    assert other != key
    assert plain_of(store, again, other) == data
    store.close()


def test_holders_see_neither_text_nor_key() -> None:
    store = BlobStore()
    name, key = seal_blob(store, b"the same secret text " * 9)
    kept = store.get(name)
    assert b"secret" not in kept
    assert key not in kept
    store.close()


def test_a_blob_does_not_open_with_another_key() -> None:
    store = BlobStore()
    name, _ = seal_blob(store, PRIVATE)
    for wrong in (bytes(KEY_SIZE), seal_blob(store, b"other")[1]):
        with pytest.raises(ProtocolError, match="does not open with this key") as caught:
            plain_of(store, name, wrong)
        assert caught.value.where == "blob-seal"
    with pytest.raises(ProtocolError, match="32 bytes"):
        open_blob(store, name, b"short")
    store.close()


def test_a_sealed_piece_is_what_the_wires_page_says() -> None:
    store = BlobStore()
    name, key = seal_blob(store, PRIVATE)
    cipher = ChaCha20Poly1305(key)
    for number, piece in enumerate(store.chunks(name)):
        data = b"pockethive/1 sealed-blob" + number.to_bytes(8, "big") + bytes([number == 3])
        plain = cipher.decrypt(number.to_bytes(12, "big"), piece[1:], data)
        assert piece[0] == 1
        assert plain == PRIVATE[number * (2**20 - 17) :][: 2**20 - 17]
    store.close()


def test_pieces_that_are_cut_reordered_repeated_or_changed_are_refused() -> None:
    store = BlobStore()
    name, key = seal_blob(store, PRIVATE)
    one, two, three, four = (bytes(piece) for piece in store.chunks(name))
    assert len(one) == CHUNK
    hostile = [
        [one, two, three],  # cut at a border
        [one, two, three, four[:-1]],  # cut in the middle
        [two, one, three, four],
        [one, one, two, three, four],
        [one, three, four],
        [one, two, three, four, four],
        [b"\x02" + one[1:], two, three, four],
        [one, two[:-1] + bytes([two[-1] ^ 1]), three, four],
        [four],
        [],
    ]
    for pieces in hostile:
        with pytest.raises(ProtocolError) as caught:
            list(opened(pieces, key))
        assert caught.value.where == "blob-seal"
    store.close()


def test_nothing_of_a_wrong_piece_is_given_out() -> None:
    store = BlobStore()
    name, key = seal_blob(store, PRIVATE)
    pieces = list(store.chunks(name))
    pieces[1] = pieces[1][:-1] + b"!"
    reading = opened(pieces, key)
    assert next(reading) == bytes([0]) * PLAIN
    with pytest.raises(ProtocolError):
        next(reading)
    store.close()


@settings(max_examples=60)
@given(data=st.data())
def test_any_change_of_small_pieces_is_noticed(data: st.DataObject) -> None:
    key = data.draw(st.binary(min_size=KEY_SIZE, max_size=KEY_SIZE))
    text = [data.draw(st.binary(min_size=1, max_size=9)) for _ in range(3)]
    sealed = list(sealed_blob._sealed(iter([b"".join(text)]), key))
    assert b"".join(opened(sealed, key)) == b"".join(text)
    changed = bytearray(sealed[0])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ProtocolError):
        list(opened([bytes(changed)], key))


async def test_a_private_blob_travels_to_those_it_is_for_and_opens_there() -> None:
    async with hive(None, None, None) as (maker, friend, _):
        only = Audience(devices=frozenset([friend.identity.public]))
        name, key = seal_blob(maker.blobs, PRIVATE, only)
        assert maker.blobs.allows(friend.identity.public, name)
        assert not maker.blobs.allows(somebody("else").public, name)
        await friend.fetch(name, [maker.contact])
        assert plain_of(friend.blobs, name, key) == PRIVATE
        with pytest.raises(ProtocolError):
            plain_of(friend.blobs, name, bytes(KEY_SIZE))
