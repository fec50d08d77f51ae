"""The home folder: what a person's PocketHive keeps on one machine.

    <home>/owner.key          the owner's key; devices made here are certified by it
    <home>/models, tools      model bundles and the environment that makes them
    <home>/node               the device of `pockethive node`
    <home>/swarm-1, -2, …     the devices of `pockethive run`, one folder per swarm at a time

A device folder is used by one process at a time: a lock says so.
"""

import fcntl
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pockethive.core.canonical import decode_object, encode, from_text, to_text
from pockethive.core.errors import BadEncoding, StorageError
from pockethive.dht.identity import Identity, OwnerKey, certify

MAX_SWARMS = 64
_CERTIFICATE = "certificate.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Who owns a device: the owner's key and its signature over the device's, both base64url."""

    owner_key: str
    certificate: str


@dataclass(slots=True)
class FolderLock:
    """Holds a folder for this process until `release`."""

    folder: Path
    _file: IO[str] | None = field(default=None, repr=False)

    def take(self) -> bool:
        """True when the folder is now ours; False when another process holds it."""
        make_private(self.folder)
        try:
            file = (self.folder / "lock").open("a")
        except OSError as error:
            raise StorageError(
                f"the folder cannot be written: {error.strerror}",
                where=str(self.folder),
                cure="choose another with --home",
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let the next process in. The lock also falls when the process dies."""
        if self._file is not None:
            self._file.close()
            self._file = None


def make_private(folder: Path) -> None:
    """Make a folder that only its user can read. Raises StorageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(
            f"the folder cannot be made: {error.strerror}",
            where=str(folder),
            cure="choose another with --home",
        ) from error


def free_swarm_folder(home: Path) -> FolderLock:
    """Lock the first swarm folder of `home` that nobody uses. Raises StorageError."""
    for number in range(1, MAX_SWARMS + 1):
        lock = FolderLock(home / f"swarm-{number}")
        if lock.take():
            return lock
    raise StorageError(
        f"{MAX_SWARMS} swarms are running", where=str(home), cure="stop one or use another --home"
    )


def own(home: Path, device_folder: Path) -> Ownership:
    """Certify the device of `device_folder` by the owner of `home`, once; both keys are made
    where missing."""
    make_private(home)
    make_private(device_folder)
    path = device_folder / _CERTIFICATE
    if path.exists():
        return _read(path)
    owner, device = OwnerKey.load_or_create(home), Identity.load_or_create(device_folder)
    made = Ownership(
        owner_key=to_text(owner.public), certificate=to_text(certify(owner, device.public))
    )
    write_atomically(
        path, encode({"v": 1, "owner": made.owner_key, "certificate": made.certificate})
    )
    return made


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one. Raises StorageError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StorageError(f"cannot write: {error.strerror}", where=str(path)) from error


def _read(path: Path) -> Ownership:
    try:
        value = decode_object(path.read_bytes(), 1_000)
        from_text(value["owner"], 32), from_text(value["certificate"], 64)
        return Ownership(owner_key=value["owner"], certificate=value["certificate"])
    except (BadEncoding, KeyError, TypeError, OSError) as error:
        raise StorageError(
            "the device's certificate cannot be read",
            where=str(path),
            cure="delete the file; it is made again",
        ) from error
