"""The executor `file`: writes a text into a folder that the owner allowed.

Rules guarded here: one plain name in that folder, never a path; a file that is there already is
never replaced; the file appears whole or not at all, by a link, which is the act.
"""

import contextlib
import os
import re
from pathlib import Path

from pockethive.core.canonical import digest
from pockethive.core.errors import Failure
from pockethive.core.outbox import Draft

_NAME = re.compile(r"[^\W_][\w .()-]{0,99}")


class FileExecutor:
    """`target` is the file's name, `payload` its text."""

    kind = "file"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def act(self, draft: Draft) -> None:
        """Write the file. Raises Failure: nothing was written."""
        path = self._path(draft)
        if path is None:
            raise Failure(f"{draft.target!r} is no plain file name")
        made = self._folder / f".{digest('outbox file', draft.key.encode()).hex()[:24]}.draft"
        try:
            made.unlink(missing_ok=True)  # of a process that died
            handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(draft.payload.encode())
                file.flush()
                os.fsync(file.fileno())
            os.link(made, path)
        except FileExistsError as error:
            if not self.query(draft):
                raise Failure("a file of that name is there", where=str(path)) from error
        except OSError as error:
            raise Failure(f"cannot write: {error.strerror}", where=str(path)) from error
        finally:
            with contextlib.suppress(OSError):  # it is replaced when the act is tried again
                made.unlink(missing_ok=True)
        self._sync()

    def query(self, draft: Draft) -> bool:
        """Whether the file is there with this text. One that was deleted since counts as no."""
        path = self._path(draft)
        if path is None or path.is_symlink() or not path.is_file():
            return False
        data = draft.payload.encode()
        return path.stat().st_size == len(data) and path.read_bytes() == data

    def _path(self, draft: Draft) -> Path | None:
        return self._folder / draft.target if _NAME.fullmatch(draft.target) else None

    def _sync(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
