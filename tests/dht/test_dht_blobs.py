"""Blobs: the store, and pinned, mutually authenticated TLS on loopback."""

import asyncio
import contextlib
import hashlib
import sqlite3
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pockethive.core.errors import BadEncoding, NetworkError, StorageError
from pockethive.dht.blobs import EVERYONE, MAX_WHOLE, NOBODY, Audience, BlobStore
from pockethive.dht.carrier import HEAD, REFUSED, Kind, Reply
from pockethive.dht.chunks import check_name
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity
from pockethive.dht.testing import blob_server, hive, somebody
from pockethive.dht.tls import TlsCarrier, fetch_blob

ANNA, BERT, CARL = somebody("anna"), somebody("bert"), somebody("carl")
DATA = b"the same bytes everywhere"
NAME = hashlib.sha256(DATA).hexdigest()


Small = Callable[[bytes, str], bytes | None]
"""What a server of small blobs gives a peer for a name."""


@contextlib.asynccontextmanager
async def serving(identity: Identity, small: Small) -> AsyncIterator[Contact]:
    def answer(peer: bytes, name: str, index: int) -> Reply:
        data = small(peer, name)
        return REFUSED if data is None else Reply(Kind.WHOLE, data)

    async with blob_server(identity, answer) as contact:
        yield contact


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_blob_is_kept_under_its_hash_for_its_audience(tmp_path: Path, on_disk: bool) -> None:
    store = BlobStore(tmp_path if on_disk else None)
    assert store.put(DATA) == NAME
    assert store.has(NAME)
    assert store.get(NAME) == DATA
    assert not store.allows(BERT.public, NAME)
    store.put(DATA, Audience(devices=frozenset([BERT.public])))
    assert store.allows(BERT.public, NAME)
    assert not store.allows(CARL.public, NAME)
    store.put(DATA, EVERYONE)
    assert store.allows(CARL.public, NAME)
    store.drop(NAME)
    assert not store.has(NAME)
    assert not store.allows(BERT.public, NAME)
    with pytest.raises(StorageError, match="no such blob"):
        store.get(NAME)
    store.close()


def test_blobs_and_audiences_survive_reopening(tmp_path: Path) -> None:
    first = BlobStore(tmp_path)
    first.put(DATA, Audience(devices=frozenset([BERT.public])))
    first.close()
    again = BlobStore(tmp_path)
    assert again.get(NAME) == DATA
    assert again.allows(BERT.public, NAME)
    assert not again.allows(CARL.public, NAME)
    again.close()
    left = [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    assert left == []


def test_a_blob_damaged_on_the_disk_is_not_given(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    name = store.put(DATA * 100, EVERYONE)
    (tmp_path / name[:2] / name).write_bytes(b"damaged")
    with pytest.raises(StorageError, match="damaged"):
        store.get(name)
    store.close()


def test_a_small_blob_damaged_in_the_index_is_not_given(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    store.put(DATA, EVERYONE)
    store.close()
    db = sqlite3.connect(tmp_path / "index.sqlite")
    db.execute("UPDATE blobs SET data = ?", (b"other bytes, as many: same",))
    db.commit()
    db.close()
    store = BlobStore(tmp_path)
    with pytest.raises(StorageError, match="damaged"):
        store.get(NAME)
    store.close()


def test_a_store_of_version_2_keeps_its_small_blobs_in_their_files(tmp_path: Path) -> None:
    (tmp_path / NAME[:2]).mkdir()
    (tmp_path / NAME[:2] / NAME).write_bytes(DATA)
    db = sqlite3.connect(tmp_path / "index.sqlite")
    db.executescript(
        "CREATE TABLE blobs (name TEXT PRIMARY KEY, size INTEGER NOT NULL, public INTEGER NOT NULL,"
        " devices BLOB NOT NULL, used REAL NOT NULL, leaves BLOB NOT NULL);"
        "CREATE TABLE partials (name TEXT PRIMARY KEY, size INTEGER NOT NULL, used REAL NOT NULL,"
        " leaves BLOB NOT NULL); PRAGMA user_version = 2;"
    )
    db.execute("INSERT INTO blobs VALUES (?, ?, 1, x'', 0, x'')", (NAME, len(DATA)))
    db.commit()
    db.close()
    store = BlobStore(tmp_path)
    assert store.get(NAME) == DATA
    assert store.allows(bytes(32), NAME)
    store.close()


def test_sizes_and_quota_are_bounded(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, quota=100)
    with pytest.raises(StorageError, match="at most"):
        store.put(bytes(MAX_WHOLE + 1))
    store.put(bytes(60))
    with pytest.raises(StorageError, match="full"):
        store.put(b"x" * 60)
    store.put(bytes(60))  # the same again costs nothing
    store.drop(hashlib.sha256(bytes(60)).hexdigest())
    store.put(b"x" * 60)
    store.close()


async def test_a_blob_is_fetched_over_tls() -> None:
    async with serving(ANNA, lambda peer, name: DATA) as contact:
        assert await fetch_blob(contact, NAME, BERT) == DATA


async def test_the_server_learns_who_asks_and_may_refuse() -> None:
    asked: list[tuple[bytes, str]] = []

    def answer(peer: bytes, name: str) -> bytes | None:
        asked.append((peer, name))
        return DATA if peer == BERT.public else None

    async with serving(ANNA, answer) as contact:
        assert await fetch_blob(contact, NAME, BERT) == DATA
        with pytest.raises(NetworkError, match="does not give the blob"):
            await fetch_blob(contact, NAME, CARL)
    assert asked == [(BERT.public, NAME), (CARL.public, NAME)]


async def test_a_server_with_another_key_hears_nothing() -> None:
    asked: list[str] = []
    async with serving(ANNA, lambda peer, name: asked.append(name)) as contact:
        wrong = Contact(CARL.public, contact.host, contact.port)
        with pytest.raises(NetworkError, match="another device"):
            await fetch_blob(wrong, NAME, BERT)
    assert asked == []


async def test_a_client_cannot_claim_another_ones_key() -> None:
    asked: list[str] = []

    class Impostor(Identity):
        def sign(self, message: bytes) -> bytes:
            return CARL.sign(message)

    impostor = Impostor.from_seed(b"i" * 32)
    impostor.public = BERT.public
    async with serving(ANNA, lambda peer, name: asked.append(name)) as contact:
        with pytest.raises(NetworkError, match="connection failed"):
            await fetch_blob(contact, NAME, impostor)
    assert asked == []


async def test_an_old_tls_version_is_refused() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(ANNA, lambda peer, name: DATA) as contact:
        with pytest.raises(OSError, match=r"TLS|SSL|^$"):
            await asyncio.open_connection(contact.host, contact.port, ssl=context)


async def test_noise_instead_of_tls_ends_the_connection_only() -> None:
    async with serving(ANNA, lambda peer, name: DATA) as contact:
        reader, writer = await asyncio.open_connection(contact.host, contact.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert not (await reader.read(4096)).startswith(b"HTTP")
        writer.close()
        assert await fetch_blob(contact, NAME, BERT) == DATA


async def test_a_corrupted_blob_is_refused_and_the_next_holder_asked() -> None:
    async with (
        hive(None, None) as (reader, honest),
        serving(CARL, lambda peer, name: DATA + b"!") as corrupt,
    ):
        honest.blobs.put(DATA, EVERYONE)
        with pytest.raises(NetworkError, match="other bytes"):
            await reader.fetch_from([corrupt], NAME)
        assert await reader.fetch_from([corrupt, honest.contact], NAME) == DATA


async def test_a_device_fetches_what_its_audience_allows_and_no_more() -> None:
    async with hive(None, None, None) as (maker, friend, other):
        maker.blobs.put(DATA, Audience(devices=frozenset([friend.identity.public])))
        assert await friend.fetch_from([maker.contact], NAME) == DATA
        with pytest.raises(NetworkError, match="does not give the blob"):
            await other.fetch_from([maker.contact], NAME)
        maker.allow_blobs(lambda peer, name: peer == other.identity.public)
        assert await other.fetch_from([maker.contact], NAME) == DATA
        with pytest.raises(NetworkError, match="does not give the blob"):
            await friend.fetch_from([maker.contact], NAME)
        with pytest.raises(NetworkError, match="none is known"):
            await other.fetch_from([], NAME)
        with pytest.raises(BadEncoding, match="not the name of a blob"):
            await other.fetch_from([maker.contact], "../device.key")


async def test_many_fetches_share_few_connections() -> None:
    served = [bytes([n]) * 1000 for n in range(30)]
    by_name = {hashlib.sha256(data).hexdigest(): data for data in served}
    async with serving(ANNA, lambda peer, name: by_name[name]) as contact:
        carrier = TlsCarrier(BERT)
        got = await asyncio.gather(*(carrier.ask(contact, name, HEAD) for name in by_name))
        assert [bytes(reply.data) for reply in got] == served
        assert len(carrier._pool) == 1
        await carrier.close()


async def test_a_connection_that_the_server_closed_is_dialled_anew() -> None:
    async with serving(ANNA, lambda peer, name: DATA) as contact:
        carrier = TlsCarrier(BERT)
        assert (await carrier.ask(contact, NAME, HEAD)).data == DATA
        link = carrier._pool[contact].link
        assert link is not None
        assert link._transport is not None
        link._transport.abort()
        assert (await carrier.ask(contact, NAME, HEAD)).data == DATA
        assert carrier._pool[contact].link is not link
        await carrier.close()


async def test_a_blob_of_many_megabytes_arrives_whole() -> None:
    data = bytes(range(256)) * (12 * 4096)
    async with hive(None, None) as (maker, reader):
        name = maker.blobs.put(data, EVERYONE)
        assert await reader.fetch_from([maker.contact], name) == data


def test_audiences_add_up() -> None:
    one = Audience(devices=frozenset([ANNA.public]))
    two = Audience(devices=frozenset([BERT.public]))
    assert ANNA.public in one | two
    assert BERT.public in one | two
    assert CARL.public not in one | two
    assert CARL.public in one | EVERYONE
    assert ANNA.public not in NOBODY


def test_an_audience_is_bounded() -> None:
    store = BlobStore()
    crowd = frozenset(n.to_bytes(32, "big") for n in range(1025))
    with pytest.raises(StorageError, match="1024 devices"):
        store.put(DATA, Audience(devices=crowd))
    store.close()


def test_only_hashes_are_names() -> None:
    assert check_name(NAME) == NAME
    for wrong in ("", NAME.upper(), NAME[:-1], "../" + NAME, NAME + "\n"):
        with pytest.raises(BadEncoding):
            check_name(wrong)
