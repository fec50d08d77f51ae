"""What all kinds of bundles have in common: files that a card names, put in place all or nothing.

Guards: files are checked by their card before the first of them is seen under its name; a stamp
beside them only ever spares work.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

log = logging.getLogger(__name__)

_MOST_STAMP: Final = 4_096  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """Size in bytes and SHA-256 (hex) of one file."""

    size: int
    sha256: str


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def entries(folder: Path, names: Iterable[str]) -> dict[str, FileEntry]:
    """What a card says of these files."""
    return {
        name: FileEntry(size=(folder / name).stat().st_size, sha256=file_sha256(folder / name))
        for name in names
    }


def damage(folder: Path, files: Mapping[str, FileEntry]) -> str:
    """What is wrong with the first file that is not the one its card names, or nothing."""
    for name, entry in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != entry.size or file_sha256(path) != entry.sha256:
            return f"{name} is not the file that the card names"
    return ""


def card_hash(told: Mapping[str, Any]) -> str:
    """The hash of a card's fields, but for `sha256` itself."""
    body = orjson.dumps({**told, "sha256": ""}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(body).hexdigest()


def card_body(told: Mapping[str, Any]) -> bytes:
    """A card's fields as its file."""
    return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def place(
    made: Path,
    names: Iterable[str],
    beside: Mapping[str, bytes],
    target: Path,
    check: Callable[[Path], object],
) -> None:
    """Move the files of these names from `made` to `target`, with what stands `beside` them.

    All or nothing: `check` raises where the folder they are in by then is no sound bundle. `made`
    must be on the same file system as `target`; a bundle already there is replaced.
    """
    names = tuple(names)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as scratch:
        fresh = Path(scratch) / "bundle"
        fresh.mkdir()
        for name in names:
            (made / name).rename(fresh / name)
        for name, body in beside.items():
            (fresh / name).write_bytes(body)
        _sync(fresh / name for name in (*names, *beside))
        check(fresh)
        if target.exists():
            target.rename(Path(scratch) / "old")
        fresh.rename(target)


def read_stamp(folder: Path, name: str) -> object:
    """What was noted beside a bundle; None where nothing sound is."""
    try:
        with (folder / name).open("rb") as stream:
            return orjson.loads(stream.read(_MOST_STAMP))
    except (OSError, ValueError):
        return None


def write_stamp(folder: Path, name: str, stamp: Mapping[str, Any]) -> None:
    """Best effort: beside a bundle on a read-only disk nothing is noted."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as stream:
            stream.write(orjson.dumps(stamp))
        Path(stream.name).replace(folder / name)
    except OSError as error:
        log.debug("no stamp written in %s: %s", folder, error)


def _sync(paths: Iterable[Path]) -> None:
    """Have files on the disk before a rename shows them."""
    for path in paths:
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
