"""The demonstration's documents: the language reference that comes with the interpreter.

`pydoc_data.topics` holds some eighty topics of the Python language reference as plain text; they
are on every machine that runs PocketHive, so the demonstration downloads nothing.
"""

from pathlib import Path
from pydoc_data.topics import topics


def write_corpus(folder: Path, parts: int = 3) -> tuple[Path, ...]:
    """Deal the topics out to `parts` folders under `folder` and return those folders.

    Neighbours in the alphabet go to different folders; unchanged files are not written again.
    """
    folders = tuple(folder / f"device-{part + 1}" for part in range(parts))
    for place in folders:
        place.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(sorted(topics)):
        path = folders[number % parts] / f"{name}.txt"
        text = str(topics[name])
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    return folders
