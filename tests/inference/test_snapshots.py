"""Remembered beginnings on disk: whole, bounded, bit by bit, and of no danger when damaged."""

from pathlib import Path

import numpy as np
import pytest

from pockethive.inference import snapshots
from pockethive.inference.blocks import blocks_for
from pockethive.inference.slices import Contents
from pockethive.inference.snapshots import SnapshotFiles

IDS = (5, 7, 11)


def snapshot(tokens: int = 3, seed: int = 1) -> Contents:
    rng = np.random.default_rng(seed)
    shape = (blocks_for(tokens), 2, 32, 4)
    return tuple(rng.random(shape, dtype=np.float32) for _ in range(6))


def test_what_was_saved_is_loaded_bit_by_bit(tmp_path: Path) -> None:
    made = snapshot()
    SnapshotFiles(tmp_path, "m").save(IDS, made)
    loaded = SnapshotFiles(tmp_path, "m").load(IDS)
    assert loaded is not None
    for one, other in zip(made, loaded, strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_tokens_and_other_models_find_nothing(tmp_path: Path) -> None:
    SnapshotFiles(tmp_path, "m").save(IDS, snapshot())
    assert SnapshotFiles(tmp_path, "m").load((5, 7, 12)) is None
    assert SnapshotFiles(tmp_path, "another").load(IDS) is None


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", bytes(100)], ids=["empty", "cut", "zeros"])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: bytes) -> None:
    files = SnapshotFiles(tmp_path, "m")
    files.save(IDS, snapshot())
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(damage)
    assert files.load(IDS) is None
    assert not path.exists()
    files.save(IDS, snapshot())
    assert files.load(IDS) is not None


def test_an_array_of_another_length_is_not_believed(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path, "m")
    files.save(IDS, snapshot(tokens=33))
    assert files.load(IDS) is None


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path, "m")
    files.save(IDS, snapshot())
    (path,) = tmp_path.glob("*.npz")
    with path.open("wb") as file:
        np.savez(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert files.load(IDS) is None


def test_the_longest_unused_give_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOST_BYTES", 15_000)
    files = SnapshotFiles(tmp_path, "m")
    for first in range(4):
        files.save((first, 7, 11), snapshot(seed=first))
    assert files.load((3, 7, 11)) is not None
    assert sum(path.stat().st_size for path in tmp_path.glob("*.npz")) <= 15_000
    assert list(tmp_path.glob("*.draft")) == []


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    files = SnapshotFiles(tmp_path / "file" / "folder", "m")
    with pytest.raises(NotADirectoryError):
        (tmp_path / "file" / "folder").mkdir()
    files.save(IDS, snapshot())
    assert files.load(IDS) is None
