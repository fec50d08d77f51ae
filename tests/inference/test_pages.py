"""Giving memory back: what it frees, and what it must not touch."""

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from pockethive.inference.pages import (
    code_pages,
    file_pages,
    give_back,
    give_up,
    in_small_pages,
    resident,
    trim_heap,
    unwritten_pages,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is given back")

SIZE = 32 << 20


def test_pages_of_a_mapped_file_are_given_back_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert mapped.find(b"never in it") == -1  # reads all of it
        before = resident()
        ranges = file_pages(path)
        assert sum(length for _, length in ranges) == SIZE
        give_back(ranges)
        assert before - resident() > SIZE // 2
        assert mapped[SIZE - 256 :] == bytes(range(256))


def test_a_mapping_that_can_be_written_is_nobodys_to_give_back(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        mapped[0] = 7
        assert file_pages(path) == ()
        assert file_pages(tmp_path / "another.bin") == ()


def test_of_a_mapping_that_might_be_written_only_one_that_was_not_is_told(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) == 0
        before, ranges = resident(), unwritten_pages(path)
        assert sum(length for _, length in ranges) == SIZE
        give_back(ranges)
        assert before - resident() > SIZE // 2
        assert mapped[SIZE - 256 :] == bytes(range(256))
        mapped[0] = 7
        assert unwritten_pages(path) == (), "what was written would be lost"
        assert unwritten_pages(tmp_path / "another.bin") == ()


def test_an_array_in_small_pages_takes_only_what_is_written_on() -> None:
    size = 16 * SIZE
    array = np.empty(size, np.uint8)
    in_small_pages(array.ctypes.data, size)
    before = resident()
    array[:: 1 << 20] = 1
    assert resident() - before < size // 4


def test_code_that_is_given_back_still_runs() -> None:
    ranges = code_pages("libpython") or code_pages("numpy")
    assert ranges
    give_back(ranges)
    trim_heap()
    assert sum(range(1000)) == 499500


def test_part_of_an_array_is_given_up_but_for_pages_that_hold_something_else() -> None:
    array = np.full(SIZE, 7, np.uint8)
    before = resident()
    start, length = 3 * mmap.PAGESIZE + 100, SIZE // 2
    give_up(((array.ctypes.data + start, length), (array.ctypes.data + SIZE - 10, 10)))
    assert before - resident() > SIZE // 4
    assert (array[:start] == 7).all()
    assert (array[start + length :] == 7).all()
    inside = array[start + mmap.PAGESIZE : start + length - mmap.PAGESIZE]
    assert not inside.any()
