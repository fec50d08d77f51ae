"""Names, trees, manifests and frames: one name, one sequence of bytes, whatever a holder says."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.dht import blob_wire, chunks, reasons
from pockethive.dht.blob_files import pieces_of
from pockethive.dht.carrier import HEAD, Kind
from pockethive.dht.chunks import CHUNK, MAX_BLOB, Manifest, check_small, leaf, name_of

LARGE = bytes(range(256)) * 4096 * 2 + b"the rest"


def manifest_of(data: bytes) -> Manifest:
    parts = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    return Manifest(len(data), b"".join(map(leaf, parts)))


def rfc6962(leaves: list[bytes]) -> bytes:
    """The tree head of RFC 6962, section 2.1, written as it is defined there."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = rfc6962(leaves[:split]), rfc6962(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK])
def test_a_blob_of_one_chunk_is_named_by_the_sha256_of_its_bytes(size: int) -> None:
    data = bytes(size)
    assert name_of(data) == hashlib.sha256(data).hexdigest()
    check_small(name_of(data), data)


def test_a_larger_blob_is_named_by_its_tree_and_size() -> None:
    manifest = manifest_of(LARGE)
    assert name_of(LARGE) == manifest.name
    assert manifest.name != hashlib.sha256(LARGE).hexdigest()
    assert manifest.count == 3
    assert Manifest.decode(manifest.name, manifest.encode()) == manifest
    assert name_of(LARGE + b"\x00") != name_of(LARGE)
    parts = [LARGE[start : start + 2**20] for start in range(0, len(LARGE), 2**20)]
    root = rfc6962([hashlib.sha256(b"\x00" + part).digest() for part in parts])
    text = len(LARGE).to_bytes(8, "big") + root
    named = hashlib.blake2b(text, digest_size=32, person=b"pockethive-tree1").hexdigest()
    assert name_of(LARGE) == named, "as docs/wire.md says"
    # Pinned: blobs that are kept today must be found tomorrow.
    assert name_of(bytes(CHUNK + 1)) == PINNED


PINNED = "11be0cd1af59f2ddc850a8f04d318323f714f3caa997cc9c602ab0ffe47580ec"


@given(st.integers(2, 70))
def test_trees_have_the_shape_of_rfc_6962(count: int) -> None:
    leaves = [hashlib.sha256(bytes([number])).digest() for number in range(count)]
    assert chunks._root(b"".join(leaves)) == rfc6962(leaves)


def test_what_a_tree_name_hashes_is_no_small_blob_of_that_name() -> None:
    manifest = manifest_of(LARGE)
    hashed = len(LARGE).to_bytes(8, "big") + chunks._root(manifest.leaves)
    with pytest.raises(ProtocolError, match="other bytes"):
        check_small(manifest.name, hashed)


def test_a_chunk_that_is_changed_moved_or_cut_is_refused() -> None:
    manifest = manifest_of(LARGE)
    first, second = LARGE[:CHUNK], LARGE[2 * CHUNK :]
    manifest.check(0, first)
    manifest.check(2, second)
    for index, wrong in [(0, first[:-1]), (0, b"!" + first[1:]), (2, first), (0, second)]:
        with pytest.raises(ProtocolError) as caught:
            manifest.check(index, wrong)
        assert caught.value.where == reasons.BLOB_BYTES


def test_a_manifest_of_another_size_or_blob_is_refused() -> None:
    manifest = manifest_of(LARGE)
    good = manifest.encode()
    bigger = Manifest(manifest.size + 1, manifest.leaves).encode()
    version = b"\x02" + good[1:]
    for wrong in (bigger, version, good[:-1], good[:-32], good + bytes(32), b"", good[:9]):
        with pytest.raises(BadEncoding):
            Manifest.decode(manifest.name, wrong)
    for size in (0, CHUNK, MAX_BLOB + 1):
        with pytest.raises(BadEncoding):
            Manifest(size, bytes(32 * chunks.count_of(size)))


@given(st.binary(max_size=200))
def test_noise_is_never_a_manifest(noise: bytes) -> None:
    with pytest.raises(BadEncoding):
        Manifest.decode("0" * 64, noise)


@given(st.binary(min_size=5, max_size=5), st.sampled_from([0, 7, HEAD]))
def test_the_head_of_an_answer_is_within_bounds_or_refused(head: bytes, index: int) -> None:
    try:
        kind, size = blob_wire.unpack_answer(head, index)
    except ProtocolError:
        return
    assert size <= {Kind.REFUSED: 0, Kind.MANIFEST: chunks.MAX_MANIFEST}.get(kind, CHUNK)
    assert kind is Kind.REFUSED or (kind is Kind.CHUNK) == (index != HEAD)


@given(st.binary(min_size=32, max_size=32), st.integers(0, HEAD))
def test_requests_read_back_what_was_written(name: bytes, index: int) -> None:
    data = blob_wire.pack_request(name.hex(), index)
    assert blob_wire.unpack_request(data) == (name.hex(), index)


@given(st.lists(st.binary(max_size=50)), st.integers(1, 20))
def test_pieces_are_full_but_for_the_last_and_lose_nothing(parts: list[bytes], size: int) -> None:
    pieces = [bytes(piece) for piece in pieces_of(parts, size)]
    assert b"".join(pieces) == b"".join(parts)
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(0 < len(piece) <= size for piece in pieces)
