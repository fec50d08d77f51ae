"""Labels that outlive a process: never wider than they were, whatever a crash left."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.actors import label_file
from pockethive.actors.label_file import LabelFile
from pockethive.actors.shelf import Kept, Shelf
from pockethive.core.errors import StorageError
from pockethive.core.labels import Label, join
from pockethive.dht.blobs import BlobStore

SHA = "ab" * 32


def test_a_shelf_that_is_opened_again_knows_its_labels_and_the_narrower_one_wins(
    tmp_path: Path,
) -> None:
    store = BlobStore(None)
    path = tmp_path / "labels.bin"
    first = Shelf(lambda: store)
    first.remember(LabelFile(path))
    sha = first.keep(b"a finding", Label.HIVE)
    other = first.keep(b"an answer", Label.PUBLIC)
    first.keep(b"a finding", Label.DEVICE)
    first.keep(b"a finding", Label.HIVE)
    first.close()
    assert path.stat().st_mode & 0o777 == 0o600

    again = Shelf(lambda: store)
    again.remember(LabelFile(path))
    assert again.kept(sha) == Kept(Label.DEVICE, 9)
    assert again.kept(other) == Kept(Label.PUBLIC, 9)
    again.keep(b"an answer", Label.PEOPLE)
    again.close()
    assert LabelFile(path).read()[other] == (Label.PEOPLE, 9)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(Label))), st.integers(0, 60))
def test_what_a_crash_cut_short_is_no_record(
    tmp_path_factory: pytest.TempPathFactory, named: list[tuple[int, Label]], cut: int
) -> None:
    path = tmp_path_factory.mktemp("labels") / "labels.bin"
    file = LabelFile(path)
    sizes = [path.stat().st_size]
    for number, label in named:
        file.add((f"{number:064x}", label, number))
        sizes.append(path.stat().st_size)
    file.close()
    left = max(sizes[0], sizes[-1] - cut)
    with path.open("r+b") as cut_off:
        cut_off.truncate(left)
    whole = sum(size <= left for size in sizes) - 1
    expected: dict[str, Label] = {}
    for number, label in named[:whole]:
        sha = f"{number:064x}"
        expected[sha] = join([expected.get(sha, label), label])
    again = LabelFile(path)
    assert {sha: label for sha, (label, _) in again.read().items()} == expected
    again.add((SHA, Label.HIVE, 1))
    again.close()
    assert LabelFile(path).read()[SHA] == (Label.HIVE, 1)


def test_a_full_file_keeps_what_was_named_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_file, "MAX_RECORDS", 20)
    file = LabelFile(tmp_path / "labels.bin")
    for number in range(25):
        file.add((f"{number:064x}", Label.HIVE, number))
    file.close()
    kept = LabelFile(tmp_path / "labels.bin").read()
    assert list(kept) == [f"{number:064x}" for number in range(10, 25)]


def test_a_file_of_another_kind_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "labels.bin"
    path.write_bytes(b"something of mine")
    with pytest.raises(StorageError, match="not a file of labels"):
        LabelFile(path)
    assert path.read_bytes() == b"something of mine"
