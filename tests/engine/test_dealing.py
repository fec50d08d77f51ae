"""Documents are dealt out to devices; what cannot be read is found before anything starts."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import DocumentError
from pockethive.dealing import deal


def write(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for path in paths:
        path.write_text(f"the text of {path.name}")
    return paths


def test_as_many_folders_as_devices_go_one_to_each(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        write(folder, "one.txt")
    assert deal(folders, 3).shares == tuple((folder,) for folder in folders)


def test_one_folder_is_dealt_out_file_by_file(tmp_path: Path) -> None:
    files = write(tmp_path / "a", *(f"{n}.txt" for n in range(7)))
    shares = deal([tmp_path / "a"], 3).shares
    assert sorted(path for share in shares for path in share) == sorted(files)
    assert [len(share) for share in shares] == [3, 2, 2]


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    good = write(tmp_path / "a", "good.txt")
    (tmp_path / "a" / "picture.png").write_bytes(b"\x89PNG\x00")
    dealt = deal([tmp_path / "a"], 1)
    assert dealt.shares == ((tmp_path / "a",),)
    assert [problem.where for problem in dealt.skipped] == [str(tmp_path / "a" / "picture.png")]
    assert good


@pytest.mark.parametrize("bad", ["missing", "empty-folder", "empty.txt", "binary.bin"])
def test_nothing_usable_is_an_error_that_names_the_path(tmp_path: Path, bad: str) -> None:
    (tmp_path / "empty-folder").mkdir()
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "binary.bin").write_bytes(bytes(range(256)))
    with pytest.raises(DocumentError, match=bad):
        deal([tmp_path / bad], 3)


def test_no_documents_deal_empty_shares() -> None:
    assert deal([], 2).shares == ((), ())


@given(files=st.integers(1, 12), devices=st.integers(1, 8))
def test_every_file_goes_to_exactly_one_device(
    tmp_path_factory: pytest.TempPathFactory, files: int, devices: int
) -> None:
    paths = write(tmp_path_factory.mktemp("docs"), *(f"{n}.txt" for n in range(files)))
    dealt = Counter(path for share in deal(paths, devices).shares for path in share)
    assert dealt == Counter(paths)
