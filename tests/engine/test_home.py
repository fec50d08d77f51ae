"""The home folder: keys and certificates made once, one process at a time, writes whole."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pockethive.core.canonical import from_text
from pockethive.core.errors import StorageError
from pockethive.dht.identity import Identity, certified
from pockethive.home import FolderLock, free_swarm_folder, own, write_atomically


def test_an_owner_certifies_its_devices_once(tmp_path: Path) -> None:
    first, second = own(tmp_path, tmp_path / "a"), own(tmp_path, tmp_path / "b")

    assert first.owner_key == second.owner_key
    assert own(tmp_path, tmp_path / "a") == first
    for name, made in (("a", first), ("b", second)):
        device = Identity.load_or_create(tmp_path / name).public
        assert certified(from_text(made.owner_key), device, from_text(made.certificate))
    other = Identity.load_or_create(tmp_path / "b").public
    assert not certified(from_text(first.owner_key), other, from_text(first.certificate))


def test_keys_are_readable_by_their_user_alone(tmp_path: Path) -> None:
    own(tmp_path / "home", tmp_path / "home" / "node")
    keys = list((tmp_path / "home").rglob("*.key"))
    assert len(keys) == 2
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_a_damaged_certificate_is_named_with_its_cure(tmp_path: Path) -> None:
    own(tmp_path, tmp_path / "a")
    (tmp_path / "a" / "certificate.json").write_bytes(b"{")
    with pytest.raises(StorageError, match=r"certificate\.json.*made again"):
        own(tmp_path, tmp_path / "a")


def test_who_is_patient_gets_a_folder_that_is_let_go_of_meanwhile(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "a"), FolderLock(tmp_path / "a")
    assert first.take()
    assert not second.take(patience=0.2)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second.take, 30.0)
        first.release()
        assert waiting.result()
    second.release()


def test_a_folder_serves_one_process_at_a_time(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "a"), FolderLock(tmp_path / "a")
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    second.release()


def test_two_swarms_of_one_home_get_folders_of_their_own(tmp_path: Path) -> None:
    first, second = free_swarm_folder(tmp_path), free_swarm_folder(tmp_path)
    assert first.folder != second.folder
    first.release()
    third = free_swarm_folder(tmp_path)
    assert third.folder == first.folder
    second.release()
    third.release()


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="choose another with --home"):
        free_swarm_folder(tmp_path / "file")


def test_a_write_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(StorageError, match="cannot write"):
        write_atomically(tmp_path / "missing" / "x.json", b"new")
