"""The demonstration's documents: the language reference that comes with the interpreter.

`pydoc_data.topics` holds some eighty topics of the Python language reference as plain text; they
are on every machine that runs PocketHive, so the demonstration downloads nothing. Licence texts
come on top where they are wanted and where the machine has them.
"""

import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from pydoc_data.topics import topics
from typing import Final

LICENCES: Final = Path("/usr/share/common-licenses")
"""Where Debian and its kin keep the texts of common licences."""
_INTERPRETER: Final = "Python-license.txt"
_LARGEST: Final = 200_000  # bytes of a licence text


def write_corpus(folder: Path, parts: int = 3, *, licences: bool = False) -> tuple[Path, ...]:
    """Deal the topics out to `parts` folders under `folder` and return those folders.

    Neighbours in the alphabet go to different folders; unchanged files are not written again. With
    `licences`, those of `licence_texts` are dealt out as well, after the topics.
    """
    folders = tuple(folder / f"device-{part + 1}" for part in range(parts))
    for place in folders:
        place.mkdir(parents=True, exist_ok=True)
    texts = {f"{name}.txt": str(topics[name]) for name in sorted(topics)}
    if licences:
        texts |= licence_texts()
    for number, (name, text) in enumerate(texts.items()):
        path = folders[number % parts] / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    return folders


def licence_texts(common: Path = LICENCES) -> Mapping[str, str]:
    """Licence texts of this machine by document name: the common ones and the interpreter's own.

    Links stand for texts that are there by another name. What is not there is not in it.
    """
    found = sorted(common.iterdir()) if common.is_dir() else []
    paths = {f"{path.name}.txt": path for path in found if path.is_file() and not path.is_symlink()}
    library = Path(sysconfig.get_path("stdlib"))
    places = (library / "LICENSE.txt", library / "LICENSE", Path(sys.base_prefix) / "LICENSE.txt")
    if own := next((path for path in places if path.is_file()), None):
        paths[_INTERPRETER] = own
    return {name: text for name, path in paths.items() if (text := _text(path))}


def _text(path: Path) -> str:
    """A text of the machine as it stands; nothing where it can't be read or is no such text."""
    try:
        told = path.read_bytes()
        return told.decode("utf-8") if len(told) <= _LARGEST else ""
    except (OSError, UnicodeDecodeError):
        return ""
