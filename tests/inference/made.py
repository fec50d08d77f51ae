"""Files of a bundle that no run time could load."""

from collections.abc import Iterable
from pathlib import Path


def made_of(folder: Path, names: Iterable[str]) -> Path:
    """A new folder with a text under each name."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text(f"content of {name}", encoding="utf-8")
    return folder
