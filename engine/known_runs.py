"""The runs of a home: which are going, which were left, and how the latest ended.

Guards: looking changes nothing; a run that a living process keeps is nobody else's to go on with.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pockethive.core.errors import BadInput
from pockethive.core.report import RunStatus
from pockethive.home import FolderLock
from pockethive.journal import FILE, OPEN, RunJournal, RunNote

OWNER: Final = "owner"
"""The folder of the owner's device in a swarm's."""
_LEAST: Final = 4  # digits that name a run


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRun:
    """A run, and the swarm folder whose journal has it. `going`: a process keeps it now."""

    note: RunNote
    folder: Path
    going: bool

    @property
    def state(self) -> str:
        """running, unfinished, lost, or how it ended."""
        if self.note.status != OPEN:
            return self.note.status
        if self.going:
            return "running"
        return "unfinished" if self.note.resumable else "lost"


def known_runs(home: Path) -> tuple[KnownRun, ...]:
    """Every run that a journal of this home has, the latest first. Raises StorageError."""
    found: list[KnownRun] = []
    for path in sorted(home.glob(f"swarm-*/{OWNER}/{FILE}")):
        journal = RunJournal(path)
        try:
            notes = journal.runs()
        finally:
            journal.close()
        folder = path.parent.parent
        used = any(note.status == OPEN for note in notes) and _in_use(folder)
        found += (
            KnownRun(note=note, folder=folder, going=used and _lives(note.keeper)) for note in notes
        )
    return tuple(sorted(found, key=lambda run: -run.note.began))


def find_run(home: Path, name: str) -> KnownRun:
    """The run of a home whose id begins so. Raises BadInput: none, several, going or ended."""
    fitting = _called(home, name)
    if len(fitting) != 1:
        many = "several runs are" if fitting else "no run of this home is"
        raise BadInput(f"{many} called {name}", cure="see: pockethive runs")
    (run,) = fitting
    if run.state != "unfinished":
        raise BadInput(f"run {run.note.run[:8]} is {run.state}", cure="see: pockethive runs")
    return run


def is_here(home: Path, name: str) -> bool:
    """Whether a run that is called so is this home's, and has not moved to another device.

    Raises BadInput: no name of a run.
    """
    return any(run.state != RunStatus.MOVED.value for run in _called(home, name))


def _called(home: Path, name: str) -> list[KnownRun]:
    if len(name) < _LEAST:
        raise BadInput(f"{name!r} names no run", cure=f"give {_LEAST} digits of its id at least")
    return [run for run in known_runs(home) if run.note.run.startswith(name.lower())]


def _lives(process: int) -> bool:
    """Whether there is such a process; another of its number, in a folder in use, is unlikely."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process > 0


def _in_use(folder: Path) -> bool:
    lock = FolderLock(folder)
    if not lock.take():
        return True
    lock.release()
    return False
