"""Dealing documents out to devices; unusable ones are found before anything starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pockethive.actors.documents.reading import find, read
from pockethive.core.errors import DocumentError, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt:
    """One share of paths for each device, and the files that are left out with the reason."""

    shares: tuple[tuple[Path, ...], ...]
    skipped: tuple[Problem, ...]


def deal(paths: Sequence[Path], devices: int) -> Dealt:
    """Deal documents out round robin: the paths given, or, when they are fewer than the devices,
    the files in them. A path or file with nothing to read is left out.

    Raises:
        DocumentError: a path does not exist, or nothing can be used.
    """
    if not paths:
        return Dealt(shares=((),) * devices, skipped=())
    usable: list[Path] = []
    files: list[Path] = []
    skipped: list[Problem] = []
    for path in paths:
        texts, problems = _read_all(path)
        files += texts
        skipped += problems
        if texts:
            usable.append(path)
    if not usable:
        told = "; ".join(map(str, skipped[:5])) or f"{paths[0]}: no files"
        raise DocumentError(f"no usable document: {told}", cure="name UTF-8 text files")
    units = usable if len(usable) >= devices else files
    return Dealt(
        shares=tuple(tuple(units[first::devices]) for first in range(devices)),
        skipped=tuple(skipped),
    )


def _read_all(path: Path) -> tuple[list[Path], list[Problem]]:
    texts, problems = [], []
    for file in find([path]):
        text = read(file)
        if isinstance(text, Problem):
            problems.append(text)
        else:
            texts.append(file.path)
    return texts, problems
