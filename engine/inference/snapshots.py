"""Snapshots of remembered beginnings on disk, so that a new process need not read them again.

One file per beginning: an archive of numpy arrays, what its blocks hold (46 kB a token for the
default model), named by a hash of model, run time and token ids. Rules guarded here: files
are written whole or not at all, bounded in bytes (the longest unused go first), and one that does
not read is deleted and made again. Numbers are those of the model, bit by bit.
"""

import contextlib
import hashlib
import logging
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pockethive.inference.blocks import blocks_for
from pockethive.inference.slices import Contents

_log = logging.getLogger(__name__)

VERSION = 2
MOST_BYTES = 256 << 20


class SnapshotFiles:
    """Snapshots of one model in `folder`. `model` names weights, run time and precision."""

    def __init__(self, folder: Path, model: str) -> None:
        self._folder, self._model = folder, model

    def load(self, ids: Sequence[int]) -> Contents | None:
        """What the blocks of these token ids hold, if it is here."""
        path = self._path(ids)
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                contents = tuple(file[name] for name in file.files)
            os.utime(path)
            if any(len(array) != blocks_for(len(ids)) for array in contents):
                raise ValueError(f"not of {len(ids)} tokens")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            _log.warning("a damaged snapshot is made again: %s", error)
            _discard(path)
            return None
        return contents

    def save(self, ids: Sequence[int], contents: Contents) -> None:
        """Keep a snapshot. A disk that refuses costs time at the next start, nothing else."""
        path = self._path(ids)
        draft = path.with_suffix(f".{os.getpid()}.draft")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                np.savez(file, *contents)
            draft.replace(path)
            self._trim()
        except OSError as error:
            _discard(draft)
            _log.warning("a snapshot could not be kept: %s", error)

    def _path(self, ids: Sequence[int]) -> Path:
        named = f"{VERSION}\n{self._model}\n{','.join(map(str, ids))}"
        return self._folder / f"{hashlib.sha256(named.encode()).hexdigest()[:32]}.npz"

    def _trim(self) -> None:
        files = sorted(self._folder.glob("*.npz"), key=lambda path: -path.stat().st_mtime)
        size = 0
        for path in files:
            size += path.stat().st_size
            if size > MOST_BYTES:
                _discard(path)


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):  # what cannot be deleted is written over or never read
        path.unlink(missing_ok=True)
