"""Databases after a crash: killed writers, cut and damaged files, full disks, older versions."""

import logging
import random
import sqlite3
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pockethive.core.errors import StorageError
from pockethive.dht.cells import CellStore
from pockethive.dht.database import open_database
from pockethive.dht.record import Record, sign_record
from pockethive.dht.rules import NOTE
from pockethive.dht.store import RecordStore
from pockethive.dht.testing import NOW, RULES, key, somebody

ROUNDS = 4
_WRITER = """
import sys
from pathlib import Path
from pockethive.dht.cells import CellStore
from pockethive.dht.record import sign_record
from pockethive.dht.rules import NOTE
from pockethive.dht.store import RecordStore
from pockethive.dht.testing import NOW, RULES, key, somebody

home, start = Path(sys.argv[1]), int(sys.argv[2])
records = RecordStore(RULES, path=home / "records.sqlite", clock=lambda: NOW)
cells = CellStore(home / "cells.sqlite", lambda: NOW)
author = somebody("writer")
for number in range(start, 10**6):
    name = b"cell %d" % (number % 7)
    old = cells.get(name)
    assert cells.compare_and_set(name, old, b"%d" % number)
    print("cell", number, flush=True)
    records.add(sign_record(author, NOTE, key(f"{number}"), b"", int(NOW) + 60, b"%d" % number))
    print("record", number, flush=True)
"""


def note_at(number: int) -> Record:
    body = b"%d" % number
    return sign_record(somebody("writer"), NOTE, key(f"{number}"), b"", int(NOW) + 60, body * 50)


def records_at(path: Path) -> RecordStore:
    return RecordStore(RULES, path=path, clock=lambda: NOW)


def filled(path: Path, count: int = 300) -> list[Record]:
    notes = [note_at(number) for number in range(count)]
    with closing(records_at(path)) as kept:
        assert kept.join(notes) == count
    return notes


def sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def killed_writer(home: Path, start: int, acknowledged: int) -> list[tuple[str, int]]:
    """What a writer had acknowledged when it was killed, at some moment after so many lines."""
    command = [sys.executable, "-c", _WRITER, str(home), str(start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(acknowledged)]
        writer.kill()
        lines += writer.stdout.readlines()
    told = [line.split() for line in lines if line.endswith("\n")]
    return [(kind, int(number)) for kind, number in told]


@pytest.mark.processes
def test_a_writer_killed_at_any_moment_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    rng, start, records = random.Random(seed), 0, set[int]()
    cells: dict[int, int] = {}
    for _ in range(ROUNDS):
        told = killed_writer(tmp_path, start, rng.randrange(1, 120))
        records |= {number for kind, number in told if kind == "record"}
        cells |= {number % 7: number for kind, number in told if kind == "cell"}
        start = max(cells.values()) + 1
        with closing(CellStore(tmp_path / "cells.sqlite", lambda: NOW + 99)) as promises:
            for name, number in cells.items():
                found = int(promises.get(b"cell %d" % name) or -1)
                # one step may have been on the disk and not yet told
                assert number <= found <= start, f"seed {seed}: cell {name}"
            start = max(start, *(int(promises.get(b"cell %d" % n) or 0) + 1 for n in cells))
            assert promises.born == NOW, f"seed {seed}: nothing was lost"
        with closing(records_at(tmp_path / "records.sqlite")) as kept:
            lost = [number for number in records if not kept.live(key(f"{number}"))]
            assert lost == [], f"seed {seed}"
            rows = kept._db.execute("SELECT data FROM records").fetchall()
            assert (kept.count, kept.bytes) == (len(rows), sum(len(d) for (d,) in rows))
            for (data,) in rows:
                Record.decode(data).verify()
        assert sound(tmp_path / "records.sqlite"), f"seed {seed}"
        assert sound(tmp_path / "cells.sqlite"), f"seed {seed}"
        assert not list(tmp_path.glob("*.damaged-*")), f"seed {seed}"


def test_a_file_that_lost_its_last_page_gives_what_it_still_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "records.sqlite"
    notes = filled(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-4096])
    with closing(records_at(path)) as kept:
        saved = [record for record in notes if record in kept.live(record.key)]
        assert len(notes) - 20 < len(saved) == kept.count
    (aside,) = tmp_path.glob("records.sqlite.damaged-*")
    assert aside.read_bytes().startswith(whole[:16])
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert str(path) in warning
    assert f"{len(saved)} records were saved" in warning
    assert aside.name in warning
    caplog.clear()
    with closing(records_at(path)) as kept:
        assert kept.count == len(saved)
    assert not caplog.records
    assert sound(path)


def wipe_a_page(data: bytearray) -> None:
    data[20 * 4096 : 21 * 4096] = bytes(4096)


def cut_in_half(data: bytearray) -> None:
    del data[len(data) // 2 :]


def cut_to_nothing_readable(data: bytearray) -> None:
    del data[3000:]


def overwrite_the_header(data: bytearray) -> None:
    data[:100] = b"!" * 100


def empty_the_schema(data: bytearray) -> None:
    data[100:4096] = bytes(3996)


DAMAGES: list[Callable[[bytearray], None]] = [
    wipe_a_page,
    cut_in_half,
    cut_to_nothing_readable,
    overwrite_the_header,
    empty_the_schema,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("killed", [True, False])
def test_whatever_happened_to_the_file_the_store_starts_and_lies_about_nothing(
    tmp_path: Path, damage: Callable[[bytearray], None], killed: bool
) -> None:
    path = tmp_path / "records.sqlite"
    notes = filled(path)
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)
    if killed:
        path.with_name(f"{path.name}.open").touch()
    with closing(records_at(path)) as kept:
        held = [record for record in notes if record in kept.live(record.key)]
        assert kept.count == len(held)
        assert kept.add(note_at(1000))
    if damage in {wipe_a_page, cut_in_half}:
        assert len(held) > 50
    assert sound(path)


@pytest.mark.parametrize("small", [0, 2**24], ids=["large file", "small file"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_witness_with_damaged_cells_begins_anew_and_says_since_when(
    tmp_path: Path,
    small: int,
    damage: Callable[[bytearray], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pockethive.dht.database._SMALL", small)
    path = tmp_path / "cells.sqlite"
    with closing(CellStore(path, lambda: NOW)) as cells:
        for number in range(500):
            cells.compare_and_set(b"%d" % number, None, bytes(400))
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)
    with closing(CellStore(path, lambda: NOW + 5)) as cells:
        assert cells.born == NOW + 5
        assert cells.get(b"1") is None
        assert cells.compare_and_set(b"1", None, b"new")
    warning = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING][-1]
    assert "begins anew and grants nothing" in warning
    assert len(list(tmp_path.glob("cells.sqlite.damaged-*"))) == 1


def overwrite(cells: CellStore) -> None:
    for number in range(500):
        cells.compare_and_set(b"%d" % number, bytes(400), b"x")


def test_damage_found_in_use_is_told_with_its_cure_and_examined_at_the_next_start(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cells.sqlite"
    cells = CellStore(path, lambda: NOW)
    for number in range(500):
        cells.compare_and_set(b"%d" % number, None, bytes(400))
    cells._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    cells._db.execute("PRAGMA cache_size = 0")
    data = bytearray(path.read_bytes())
    data[2 * 4096 :] = bytes(len(data) - 2 * 4096)
    path.write_bytes(data)
    with pytest.raises(StorageError, match=r"damaged.*start again"):
        overwrite(cells)
    cells.close()
    with closing(CellStore(path, lambda: NOW + 7)) as again:
        assert again.born == NOW + 7


def test_a_start_that_was_killed_between_two_renames_finds_the_new_database(
    tmp_path: Path,
) -> None:
    path = tmp_path / "records.sqlite"
    notes = filled(path, 5)
    path.rename(tmp_path / "records.sqlite.new")
    path.with_name("records.sqlite-wal").write_bytes(b"of the old one")
    with closing(records_at(path)) as kept:
        assert [kept.live(note.key) for note in notes] == [(note,) for note in notes]
    half = tmp_path / "records.sqlite.new"
    half.write_bytes(b"half written when it was killed")
    path.write_bytes(path.read_bytes()[:-4096])
    with closing(records_at(path)) as kept:
        assert 0 <= kept.count <= 5
    assert not half.exists()


def test_a_store_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    notes = [note_at(number) for number in range(20)]
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(
            "CREATE TABLE records (key BLOB, kind TEXT, author BLOB, slot BLOB, digest BLOB,"
            " expires INTEGER, touched REAL, data BLOB,"
            " PRIMARY KEY (key, kind, author, slot, digest)) WITHOUT ROWID;"
            "CREATE INDEX by_expiry ON records (expires); PRAGMA user_version = 1;"
        )
        for note in notes:
            row = (note.key, *note.place, note.digest, note.expires, NOW, note.encode())
            db.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    with closing(records_at(path)) as kept:
        assert [kept.live(note.key) for note in notes] == [(note,) for note in notes]
    assert [file.name for file in tmp_path.iterdir()] == ["records.sqlite"]


def test_another_devices_store_is_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    filled(path, 30)
    own = somebody("writer").public
    with closing(RecordStore(RULES, path=path, clock=lambda: NOW, own=own)) as kept:
        rows = kept._db.execute("SELECT DISTINCT mine FROM records").fetchall()
        assert rows == [(1,)]


def test_a_full_disk_refuses_with_a_cure_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    notes = filled(path, 20)
    kept = records_at(path)
    pages = kept._db.execute("PRAGMA page_count").fetchone()[0]
    kept._db.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StorageError, match=r"full .*free some space"):
        deque((kept.add(note_at(number)) for number in range(1000, 1100)), maxlen=0)
    assert kept.count == kept._db.execute("SELECT count(*) FROM records").fetchone()[0]
    assert all(kept.live(note.key) == (note,) for note in notes)
    kept._db.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert kept.add(note_at(2000))
    kept.close()
    assert sound(path)


def test_a_second_process_on_one_home_is_refused_and_disturbs_no_mark(tmp_path: Path) -> None:
    path = tmp_path / "some.sqlite"
    with closing(open_database(path, "CREATE TABLE t (x);", 1, synchronous="NORMAL")):
        mark = path.with_name("some.sqlite.open")
        assert mark.exists()
        with pytest.raises(StorageError, match="another process uses this home"):
            open_database(path, "CREATE TABLE t (x);", 1, synchronous="NORMAL")
        assert mark.exists()
    assert not mark.exists()
