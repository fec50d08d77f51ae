"""The home folder: what a person's PocketHive keeps on one machine.

    <home>/owner.key          the owner's key; devices made here are certified by it
    <home>/owner.json         the owner's name; in a linked home also the key, which is elsewhere
    <home>/hive.sqlite        the private hive this home belongs to: list, keys, open invitations
    <home>/hive.key           the hive's key, where the hive was founded
    <home>/credits.sqlite     what was seen of devices that worked for this person
    <home>/peers.json         devices that answered, to meet the hive through after a restart
    <home>/models, tools      model bundles and the environment that makes them
    <home>/node               the device of `pockethive node`
    <home>/swarm-1, -2, …     the devices of `pockethive run`, one folder per swarm at a time

A device folder is used by one process at a time: a lock says so.
"""

import contextlib
import fcntl
import getpass
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_random

from pockethive.core.canonical import decode_object, encode, from_text, to_text
from pockethive.core.errors import BadEncoding, Failure, StorageError
from pockethive.dht.identity import Identity, OwnerKey, certify

MAX_SWARMS = 64
NODE = "node"
_CERTIFICATE = "certificate.json"
_PERSON = "owner.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Who owns a device: the owner's key and its signature over the device's, both base64url."""

    owner_key: str
    certificate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whose home this is. `linked` is the owner's public key where the secret one is elsewhere."""

    name: str
    linked: bytes | None = None


@dataclass(slots=True)
class FolderLock:
    """Holds a folder for this process until `release`."""

    folder: Path
    _file: IO[str] | None = field(default=None, repr=False)

    def take(self, patience: float = 0.0) -> bool:
        """True when the folder is now ours; False when another process holds it.

        For `patience` seconds one that is ending may let go of it. Blocks as long.
        """
        attempts = Retrying(
            retry=retry_if_result(lambda taken: not taken),
            stop=stop_after_delay(patience),
            wait=wait_random(0.05, 0.2),
            retry_error_callback=lambda _: False,
        )
        return bool(attempts(self._try))

    def _try(self) -> bool:
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


def lock_swarm_folder(folder: Path) -> FolderLock:
    """Lock one swarm folder. Raises Failure: another process uses it."""
    lock = FolderLock(folder)
    if not lock.take():
        raise Failure(
            "another swarm lives there", where=str(folder), cure="wait until it has ended"
        )
    return lock


def own(home: Path, device_folder: Path) -> Ownership:
    """Certify the device of `device_folder` by the owner of `home`, once; both keys are made
    where missing."""
    make_private(home)
    make_private(device_folder)
    path, linked = device_folder / _CERTIFICATE, person_of(home).linked
    if path.exists():
        made = _read(path)
        if linked is None or from_text(made.owner_key) == linked:
            return made
    if linked is not None:
        raise Failure(
            "the owner's key is on another device, which has not certified this one",
            where=str(device_folder),
            cure="link again: pockethive owner link --request",
        )
    owner, device = OwnerKey.load_or_create(home), Identity.load_or_create(device_folder)
    return keep_certificate(device_folder, owner.public, certify(owner, device.public))


def keep_certificate(device_folder: Path, owner: bytes, certificate: bytes) -> Ownership:
    """Keep an owner's certificate over the device of a folder. Raises StorageError."""
    made = Ownership(owner_key=to_text(owner), certificate=to_text(certificate))
    write_atomically(
        device_folder / _CERTIFICATE,
        encode({"v": 1, "owner": made.owner_key, "certificate": made.certificate}),
    )
    return made


def certified_folders(home: Path, owner: bytes) -> list[Path]:
    """The folders of a home's devices that this owner certified."""
    depths = (f"*/{_CERTIFICATE}", f"*/*/{_CERTIFICATE}")
    found = sorted(path.parent for depth in depths for path in home.glob(depth))
    return [one for one in found if from_text(_read(one / _CERTIFICATE).owner_key) == owner]


def person_of(home: Path) -> Person:
    """Whose home this is; without a file, whoever is logged in. Raises StorageError."""
    path = home / _PERSON
    if not path.exists():
        return Person(name=login_name())
    try:
        value = decode_object(path.read_bytes(), 1_000)
        if not isinstance(value["name"], str):
            raise BadEncoding("a name that is no text")
        linked = value["linked"]
        return Person(name=value["name"], linked=None if linked is None else from_text(linked, 32))
    except (BadEncoding, KeyError, TypeError, OSError) as error:
        raise StorageError(
            "the owner's name cannot be read", where=str(path), cure="pockethive owner init"
        ) from error


def keep_person(home: Path, person: Person) -> None:
    """Write down whose home this is. Raises StorageError."""
    make_private(home)
    linked = None if person.linked is None else to_text(person.linked)
    write_atomically(home / _PERSON, encode({"v": 1, "name": person.name, "linked": linked}))


def login_name() -> str:
    """The name people are logged in with, as far as a member list takes it."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = ""
    return _plain(name) or "somebody"


def machine_name() -> str:
    """This machine's name, as far as a member list takes it."""
    return _plain(socket.gethostname().partition(".")[0]) or "device"


def _plain(name: str) -> str:
    return "".join(filter(str.isprintable, name))[:32].strip()


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
        with contextlib.suppress(OSError):  # what cannot be written cannot be removed, either
            draft.unlink(missing_ok=True)
        raise StorageError(
            f"cannot write: {error.strerror}", where=str(path), cure="choose another with --home"
        ) from error


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
