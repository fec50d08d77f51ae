"""The outbox of a home, with the executors that the owner has allowed."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pockethive.actors.outbox import Executor, Outbox
from pockethive.actors.outbox_file import FileExecutor
from pockethive.core.errors import BadInput

FILE: Final = "outbox.sqlite"
_FOLDER: Final = "file folder"


def open_outbox(home: Path, executors: Iterable[Executor] = ()) -> Outbox:
    """The outbox of `home`. A service adds executors of its own; all acts still need approval.

    Raises StorageError.
    """
    outbox = Outbox(home / FILE, executors, time.time)
    folder = outbox.setting(_FOLDER)
    if folder is not None:
        outbox.register(FileExecutor(Path(folder)))
    return outbox


def allow_folder(outbox: Outbox, folder: Path) -> None:
    """From now on acts of the kind `file` write there. Raises BadInput: no folder."""
    whole = folder.expanduser().absolute()
    if not whole.is_dir():
        raise BadInput("no such folder", where=str(folder), cure="make it first")
    outbox.set(_FOLDER, str(whole))
    outbox.register(FileExecutor(whole))
