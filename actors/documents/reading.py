"""Finding and reading plain text files.

Rule guarded here: a file is read whole and exactly, or skipped with a reason; never guessed at.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pockethive.core.errors import DocumentError, Problem

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_FILES = 20_000
_TEXT_CURE = "save it as UTF-8 text"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file to index. `source` is its name in citations: relative to the folder given."""

    path: Path
    source: str


def find(paths: Sequence[Path]) -> tuple[File, ...]:
    """Every visible file under `paths`, sorted by source.

    Hidden names and links that lead out of a folder are left out: nobody meant to share them.

    Raises:
        DocumentError: no path given, a path that does not exist, or too many files.
    """
    if not paths:
        raise DocumentError("no documents were given", cure="name a file or a folder of text files")
    found: dict[str, File] = {}
    for base in paths:
        if not base.exists():
            raise DocumentError("does not exist", where=str(base), cure="check the path")
        for path in _walk(base):
            source = _readable(path.relative_to(base).as_posix() if base.is_dir() else base.name)
            if source in found and found[source].path != path:
                source = f"{base.resolve().name}/{source}"
            found[source] = File(path=path, source=source)
            if len(found) > MAX_FILES:
                raise DocumentError(
                    f"more than {MAX_FILES} files", where=str(base), cure="name a smaller folder"
                )
    return tuple(found[source] for source in sorted(found))


def read(file: File) -> str | Problem:
    """The text of a file with `\\n` line ends, or why it cannot be used."""
    try:
        size = file.path.stat().st_size
        if size > MAX_FILE_BYTES:
            return Problem(
                str(file.path), f"{size} bytes, at most {MAX_FILE_BYTES} are read", "split it"
            )
        text = file.path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return Problem(str(file.path), f"cannot be read: {reason}", "check its permissions")
    except UnicodeDecodeError:
        return Problem(str(file.path), "not UTF-8 text", _TEXT_CURE)
    if "\0" in text:
        return Problem(str(file.path), "binary, not text", _TEXT_CURE)
    if not text.strip():
        return Problem(str(file.path), "empty", "write something into it or leave it out")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _readable(name: str) -> str:
    """A file's name as text that can be signed, also where its bytes are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _walk(base: Path) -> Iterator[Path]:
    if base.is_file():
        yield base
        return
    inside = base.resolve()
    for folder, names, files in os.walk(base):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and _shared(path, inside):
                yield path


def _shared(path: Path, inside: Path) -> bool:
    """A file of the folder, or a link to one. Links in a circle and the like lead nowhere."""
    try:
        led_out = path.is_symlink() and not path.resolve().is_relative_to(inside)
        return not led_out and path.is_file()
    except (OSError, RuntimeError):  # resolve() tells of circles by RuntimeError
        return False
