"""Memory that was needed once is given back to the system.

What loading a model leaves behind: pages of the weights' file, which the run time has packed into
another form; code that only compiling runs; what the allocator keeps for later. All of it can be
read again from its file, so nothing is lost but the time of a page fault. Besides, an array's
owner can give up what it holds. Guards: of what is mapped from files, only pages that nobody has
written and nobody can write are given back, only while their file is surely mapped; of an array,
only pages that lie in it wholly.

Does its work on Linux and Android; elsewhere these functions do nothing.
"""

import ctypes
import functools
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MAPS: Final = Path("/proc/self/maps")
Ranges = tuple[tuple[int, int], ...]
"""Addresses and lengths in bytes."""


@dataclass(frozen=True, slots=True)
class _Mapping:
    """One line of `/proc/self/maps`."""

    start: int
    end: int
    rights: str
    path: str


def file_pages(path: Path) -> Ranges:
    """Where this process maps `path` to read it and not to write.

    Valid as long as its owner keeps the mapping: hold whatever that is.
    """
    real = str(path.resolve())
    return _ranges(lambda each: each.path == real and each.rights.startswith("r--"))


def unwritten_pages(path: Path) -> Ranges:
    """Where this process maps `path` for itself and has not written, though it might.

    For whoever knows that the mapping's owner never writes. Valid as `file_pages` is.
    """
    real, mapping, found = str(path.resolve()), None, []
    for line in _lines(_MAPS.with_name("smaps")):
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            mapping = _mapping(line) if real in line else None
        elif name == "Anonymous:" and mapping is not None and rest.split()[0] == "0":
            found.append(mapping)
    return _lengths([each for each in found if each.path == real and each.rights.endswith("p")])


def code_pages(part: str) -> Ranges:
    """Where the code of libraries lies that have `part` in their path."""
    return _ranges(lambda each: part in each.path and ".so" in each.path and _is_code(each))


def give_back(ranges: Ranges) -> None:
    """Let the system have these pages; they are read from their file when touched again."""
    for start, length in ranges:
        _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), mmap.MADV_DONTNEED)


def give_up(ranges: Ranges) -> None:
    """Let the system have what these parts of the caller's own arrays hold; zeros are read then.

    Pages at the edges that hold anything else stay as they are. On other systems all stays.
    """
    if _MAPS.exists():
        whole = (_whole_pages(start, length) for start, length in ranges)
        give_back(tuple(part for part in whole if part[1] > 0))


def in_small_pages(start: int, length: int) -> None:
    """Have the system give this part of a caller's own array page by page as it is written on.

    numpy asks for two megabytes at the first byte: an array that is written on here and there would
    then be in memory as a whole.
    """
    first, whole = _whole_pages(start, length)
    if _MAPS.exists() and hasattr(mmap, "MADV_NOHUGEPAGE") and whole > 0:
        _libc().madvise(ctypes.c_void_p(first), ctypes.c_size_t(whole), mmap.MADV_NOHUGEPAGE)


def trim_heap() -> None:
    """Give back what the allocator holds and nobody uses, where it can be asked to (glibc)."""
    if _MAPS.exists() and hasattr(_libc(), "malloc_trim"):
        _libc().malloc_trim(0)


def resident() -> int:
    """Bytes of this process in memory; 0 where the system does not tell."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return 0
    return int(status.read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE


def _is_code(mapping: _Mapping) -> bool:
    return mapping.rights == "r-xp"


def _whole_pages(start: int, length: int) -> tuple[int, int]:
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    return first, (start + length) // mmap.PAGESIZE * mmap.PAGESIZE - first


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _ranges(wanted: Callable[[_Mapping], bool]) -> Ranges:
    return _lengths([each for each in map(_mapping, _lines(_MAPS)) if wanted(each)])


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()


def _lengths(mappings: list[_Mapping]) -> Ranges:
    return tuple((each.start, each.end - each.start) for each in mappings)


def _mapping(line: str) -> _Mapping:
    span, rights, _, _, _, *path = line.split(maxsplit=5)
    start, end = (int(address, 16) for address in span.split("-"))
    return _Mapping(start, end, rights, path[0] if path else "")
