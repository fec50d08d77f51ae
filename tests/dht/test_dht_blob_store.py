"""The blob store: streams, quota, references, collection, what a crash leaves, older databases."""

import contextlib
import hashlib
import io
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pockethive.core.errors import BadEncoding, ProtocolError, StorageError
from pockethive.dht import references
from pockethive.dht.blobs import EVERYONE, MAX_PARTIALS, MAX_WHOLE, Audience, BlobStore
from pockethive.dht.chunks import CHUNK, Manifest, leaf, name_of
from pockethive.dht.testing import somebody

LARGE = b"".join(bytes([number]) * CHUNK for number in range(3)) + b"the rest"
PARTS = [LARGE[start : start + CHUNK] for start in range(0, len(LARGE), CHUNK)]
MANIFEST = Manifest(len(LARGE), b"".join(map(leaf, PARTS)))


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def some(count: int) -> list[bytes]:
    return [bytes([number]) * 30 for number in range(count)]


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_stream_a_file_and_bytes_have_one_name_and_come_back(
    tmp_path: Path, on_disk: bool
) -> None:
    store = BlobStore(tmp_path / "store" if on_disk else None)
    path = tmp_path / "bundle.bin"
    path.write_bytes(LARGE)
    names = {
        store.put(LARGE),
        store.put_file(path),
        store.put_stream(io.BytesIO(LARGE)),
        store.put_stream(LARGE[start : start + 999_983] for start in range(0, len(LARGE), 999_983)),
    }
    assert names == {name_of(LARGE)}
    name = names.pop()
    assert store.get(name) == LARGE
    assert store.size(name) == len(LARGE)
    assert store.manifest(name) == MANIFEST
    assert store.read_chunk(name, 3) == b"the rest"
    for wrong in (4, -1):
        with pytest.raises(StorageError, match="no chunk"):
            store.read_chunk(name, wrong)
    store.copy_to(name, tmp_path / "out" / "copy.bin")
    assert (tmp_path / "out" / "copy.bin").read_bytes() == LARGE
    assert store.put_stream(()) == hashlib.sha256().hexdigest()
    store.close()


def test_a_blob_over_the_whole_size_is_read_in_chunks_only() -> None:
    store = BlobStore()
    name = store.put_stream(bytes(CHUNK) for _ in range(MAX_WHOLE // CHUNK + 1))
    with pytest.raises(StorageError, match="in chunks"):
        store.get(name)
    assert sum(map(len, store.chunks(name))) == MAX_WHOLE + CHUNK
    with pytest.raises(StorageError, match="stream or a file"):
        store.put(bytes(MAX_WHOLE + 1))
    store.close()


def test_a_chunk_damaged_on_the_disk_is_not_copied_out(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "store")
    name = store.put(LARGE)
    path = tmp_path / "store" / name[:2] / name
    path.write_bytes(LARGE[:-1] + b"!")
    with pytest.raises(StorageError, match="damaged"):
        store.copy_to(name, tmp_path / "copy.bin")
    path.write_bytes(LARGE[:-1])
    with pytest.raises(StorageError, match="damaged"):
        store.get(name)
    assert not (tmp_path / "copy.bin").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    store.close()


def test_a_file_that_is_not_there_is_reported_with_its_place(tmp_path: Path) -> None:
    store = BlobStore()
    with pytest.raises(StorageError, match="nowhere"):
        store.put_file(tmp_path / "nowhere")
    assert store.gc() == 0
    store.close()


def test_over_the_quota_the_least_recently_used_goes_first() -> None:
    clock = Clock()
    store = BlobStore(quota=100, fresh=60, clock=clock)
    first, second, third, fourth = some(4)
    names = []
    for data in (first, second, third):
        names.append(store.put(data))
        clock.now += 100
    assert store.get(names[0]) == first  # used again: now the second is the oldest
    clock.now += 100
    store.put(fourth)
    assert [store.has(name) for name in names] == [True, False, True]
    store.close()


def test_a_fresh_blob_is_not_evicted_and_nothing_goes_in_vain() -> None:
    clock = Clock()
    store = BlobStore(quota=100, fresh=60, clock=clock)
    old = store.put(b"o" * 30)
    clock.now += 100
    new = store.put(b"n" * 30)
    with pytest.raises(StorageError, match="full"):
        store.put(b"x" * 80)  # without the old one there would be room for 70 only
    assert store.has(old)
    assert store.has(new)
    store.close()


def test_small_blobs_that_come_together_are_kept_as_they_are_one_by_one(tmp_path: Path) -> None:
    with contextlib.closing(BlobStore(tmp_path)) as store:
        first, second, third = some(3)
        known = store.put(first, Audience(devices=frozenset((b"k" * 32,))))
        names = store.put_small((first, second, third, second), EVERYONE)
        assert names == [name_of(data) for data in (first, second, third, second)]
        assert [store.get(name) for name in names] == [first, second, third, second]
        assert store.audience(known) == Audience(public=True, devices=frozenset((b"k" * 32,)))
        assert store.usage() == (3, 90)
    with contextlib.closing(BlobStore(tmp_path, quota=100)) as store:  # 90 bytes are here
        with pytest.raises(StorageError, match="full"):
            store.put_small((third, b"n" * 5, b"x" * 6))
        assert store.usage() == (3, 90)
        store.put_small((third, second, first, b"n" * 5))  # what is here needs no room
        assert store.usage() == (4, 95)


def test_what_an_owner_holds_is_never_evicted(tmp_path: Path) -> None:
    clock = Clock()
    store = BlobStore(tmp_path, quota=100, fresh=60, clock=clock)
    held, loose = (store.put(data) for data in some(2))
    store.references.hold("run 1", [held])
    store.references.hold("run 2", [held])
    clock.now += 1000
    assert store.gc() == 30
    assert store.has(held)
    assert not store.has(loose)
    store.close()

    again = BlobStore(tmp_path, quota=100, fresh=60, clock=clock)
    assert again.references.owners(held) == {"run 1", "run 2"}
    again.references.release("run 1")
    clock.now += 1000
    assert again.gc() == 0
    with pytest.raises(StorageError, match="full"):
        again.put(b"x" * 80)
    again.references.release("run 2", [held])
    again.put(b"x" * 80)
    assert not again.has(held)
    again.close()


def test_a_reference_may_come_before_its_blob() -> None:
    clock = Clock()
    store = BlobStore(quota=100, fresh=0, clock=clock)
    name = name_of(b"later")
    store.references.hold("bundle", [name])
    assert store.references.names("bundle") == {name}
    store.put(b"later")
    clock.now += 1
    assert store.gc() == 0
    assert store.has(name)
    store.close()


def test_references_are_checked_bounded_and_all_or_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = BlobStore()
    with pytest.raises(BadEncoding):
        store.references.hold("run", [name_of(b"a"), "../device.key"])
    for owner in ("", "x" * 201):
        with pytest.raises(StorageError, match="letters"):
            store.references.hold(owner, [])
    monkeypatch.setattr(references, "MAX_REFERENCES", 3)
    store.references.hold("run", [name_of(b"a")])
    with pytest.raises(StorageError, match="more than 3"):
        store.references.hold("run", [name_of(data) for data in some(3)])
    assert store.references.names("run") == {name_of(b"a")}
    store.close()


def test_collection_stops_when_little_enough_is_used() -> None:
    clock = Clock()
    store = BlobStore(fresh=0, clock=clock)
    names = []
    for data in some(4):
        names.append(store.put(data))
        clock.now += 1
    assert store.gc(keep=70) == 60
    assert [store.has(name) for name in names] == [False, False, True, True]
    store.close()


def test_files_that_no_index_knows_are_collected(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    kept = store.put(b"kept")
    stray = tmp_path / "ab" / ("ab" * 32)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"left by a crash")
    (tmp_path / "drafts").mkdir(exist_ok=True)
    (tmp_path / "drafts" / "half").write_bytes(b"half a stream")
    assert store.gc() == len(b"left by a crash")
    assert not stray.exists()
    assert store.has(kept)
    store.close()
    BlobStore(tmp_path).close()
    assert list((tmp_path / "drafts").iterdir()) == []


def test_a_stream_that_breaks_off_leaves_nothing_and_takes_no_room(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, quota=3 * CHUNK)

    def broken() -> "list[bytes]":
        raise OSError("the source broke")

    with pytest.raises(OSError, match="broke"):
        store.put_stream(piece for piece in [bytes(CHUNK), *broken()])
    with pytest.raises(StorageError, match="full"):
        store.put_stream(bytes(CHUNK) for _ in range(4))
    assert list((tmp_path / "drafts").iterdir()) == []
    store.put_stream(bytes(CHUNK) for _ in range(3))
    store.close()


def test_what_was_fetched_before_a_crash_is_hashed_again_before_it_counts(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    partial = store.begin(MANIFEST)
    partial.recheck()
    assert partial.missing() == [0, 1, 2, 3]
    for index in (0, 1, 3):
        partial.write(index, PARTS[index])
    store.close()  # a killed process pauses nothing
    file = tmp_path / "partial" / MANIFEST.name
    with file.open("r+b") as handle:
        handle.seek(CHUNK + 5)
        handle.write(b"!")

    again = BlobStore(tmp_path)
    assert not again.has(MANIFEST.name)
    partial = again.begin(MANIFEST)
    partial.recheck()
    assert partial.missing() == [1, 2]
    with pytest.raises(ProtocolError, match="other bytes than chunk 1"):
        partial.write(1, PARTS[2])
    with pytest.raises(StorageError, match="all its chunks"):
        again.finish(partial)
    for index in (1, 2):
        partial.write(index, PARTS[index])
    again.finish(partial, EVERYONE)
    assert again.get(MANIFEST.name) == LARGE
    assert not file.exists()
    assert again.gc() == 0
    again.close()


@pytest.mark.parametrize("on_disk", [True, False])
def test_partials_count_are_bounded_and_are_collected(tmp_path: Path, on_disk: bool) -> None:
    clock = Clock()
    folder = tmp_path if on_disk else None
    store = BlobStore(folder, quota=100 * CHUNK, fresh=60, clock=clock)
    manifests = [Manifest(2 * CHUNK, bytes([number]) * 64) for number in range(MAX_PARTIALS + 1)]
    running = [store.begin(manifest) for manifest in manifests[:MAX_PARTIALS]]
    with pytest.raises(StorageError, match="already"):
        store.begin(manifests[0])
    with pytest.raises(StorageError, match="already"):
        store.begin(manifests[-1])
    store.pause(running[3])
    last = store.begin(manifests[-1])  # takes the place of the paused one
    clock.now += 100
    assert store.gc() == 0, "all are being written"
    for partial in (*running, last):
        store.pause(partial)
    assert store.gc() == MAX_PARTIALS * 2 * CHUNK
    store.close()


def test_a_blob_that_is_put_while_it_is_fetched_is_kept_once(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, quota=9 * CHUNK, fresh=0)
    partial = store.begin(MANIFEST)
    for index, part in enumerate(PARTS):
        partial.write(index, part)
    peer = somebody("anna").public
    assert store.put(LARGE, Audience(devices=frozenset([peer]))) == MANIFEST.name
    store.finish(partial)
    assert store.get(MANIFEST.name) == LARGE
    assert store.allows(peer, MANIFEST.name)
    assert list((tmp_path / "partial").iterdir()) == []
    store.put_stream(bytes([number]) * CHUNK for number in range(5))  # the room was given back
    store.close()


def test_threads_may_put_and_drop_at_once(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, quota=40 * 30, fresh=0)

    def work(number: int) -> None:
        for round_ in range(20):
            name = store.put(b"%d %d" % (number, round_ % 5) * 5)
            if round_ % 3 == 0:
                store.drop(name)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    used = store._used
    store.close()
    again = BlobStore(tmp_path)
    assert again._used == used
    again.close()


def old_database(folder: Path, version: int, blobs: list[bytes]) -> None:
    """A store as version 1 wrote it."""
    folder.mkdir(exist_ok=True)
    db = sqlite3.connect(folder / "index.sqlite")
    db.executescript(
        "CREATE TABLE blobs (hash TEXT PRIMARY KEY, size INTEGER NOT NULL, public INTEGER NOT NULL,"
        f" devices BLOB NOT NULL) WITHOUT ROWID; PRAGMA user_version = {version};"
    )
    for data in blobs:
        name = hashlib.sha256(data).hexdigest()
        db.execute("INSERT INTO blobs VALUES (?, ?, 1, x'')", (name, len(data)))
        (folder / name[:2]).mkdir(exist_ok=True)
        (folder / name[:2] / name).write_bytes(data)
    db.commit()
    db.close()


def test_a_store_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    old_database(tmp_path, 1, [b"small", LARGE])
    store = BlobStore(tmp_path)
    assert store.get(name_of(b"small")) == b"small"
    assert store.allows(somebody("anyone").public, name_of(b"small"))
    assert not store.has(hashlib.sha256(LARGE).hexdigest()), "nobody asks for that name any more"
    assert store.gc() == len(LARGE)
    store.close()
    BlobStore(tmp_path).close()


@pytest.mark.parametrize("version", [4, 77])
def test_a_store_of_a_later_version_is_refused_and_left_as_it_is(
    tmp_path: Path, version: int
) -> None:
    old_database(tmp_path, version, [b"small"])
    with pytest.raises(StorageError, match=f"version {version}, this program reads 3"):
        BlobStore(tmp_path)
    assert sqlite3.connect(tmp_path / "index.sqlite").execute(
        "SELECT count(*) FROM blobs"
    ).fetchone() == (1,)


def test_of_a_damaged_index_is_saved_what_can_be_read(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    names = [store.put(b"%d" % number * 40, EVERYONE) for number in range(400)]
    store.references.hold("run", names[:50])
    store.close()
    file = tmp_path / "index.sqlite"
    data = bytearray(file.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = b"damage!!" * 512
    file.write_bytes(data)

    again = BlobStore(tmp_path)
    kept = [name for name in names if again.has(name)]
    assert len(kept) > 200
    assert all(again.get(name) for name in kept)
    assert list(tmp_path.glob("index.sqlite.damaged-*"))
    for number, name in enumerate(names):
        assert again.put(b"%d" % number * 40) == name, "what was lost is put again"
    again.close()
