"""Devices that answered, remembered in the home, so that a restart needs no `--join`.

    <home>/peers.json   {"v", "hive", "peers": ["key@host:port", …]}, the latest first

Guards: bounded and written atomically; what is remembered of another hive is not used; a file that
cannot be read costs a logged sentence and is written anew.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pockethive.core.canonical import decode_object, encode
from pockethive.core.errors import BadEncoding, BadInvitation
from pockethive.dht.contact import Contact
from pockethive.home import NODE, FolderLock, write_atomically

_log = logging.getLogger(__name__)

FILE: Final = "peers.json"
RUNNING: Final = "running.json"  # in a device's folder: where it can be reached while it runs
MAX_PEERS: Final = 32
_MAX_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class PeerFile:
    """Contacts of one hive (`network` is its name on the wire) in one file."""

    path: Path
    network: str

    def load(self) -> tuple[Contact, ...]:
        """What is remembered; nothing when it is of another hive, missing or damaged."""
        try:
            value = decode_object(self.path.read_bytes(), _MAX_BYTES)
            if value.get("v") != 1 or value.get("hive") != self.network:
                return ()
            peers = value.get("peers")
            if not isinstance(peers, list):
                raise BadEncoding("no list of peers")
            return tuple(Contact.parse(text) for text in peers[:MAX_PEERS])
        except FileNotFoundError:
            return ()
        except (OSError, BadEncoding, BadInvitation, AttributeError) as error:
            _log.warning("remembered devices cannot be read: %s", error)
            return ()

    def remember(self, contacts: Iterable[Contact]) -> None:
        """Put contacts first and keep the latest `MAX_PEERS`. Raises StorageError."""
        before = self.load()
        merged: dict[bytes, Contact] = {}
        for contact in (*contacts, *before):
            merged.setdefault(contact.public, contact)
        kept = tuple(merged.values())[:MAX_PEERS]
        if kept and kept != before:
            peers = [str(contact) for contact in kept]
            write_atomically(self.path, encode({"v": 1, "hive": self.network, "peers": peers}))


def running_contact(folder: Path, network: str) -> Contact | None:
    """Where the device of a folder is reached, if a process runs it and it is of that hive."""
    lock = FolderLock(folder)
    if lock.take():
        lock.release()
        return None
    return next(iter(PeerFile(folder / RUNNING, network).load()), None)


def known_contacts(home: Path, network: str) -> tuple[Contact, ...]:
    """Whom to ask first in a hive: a `pockethive node` of this home, then remembered peers."""
    running = PeerFile(home / NODE / RUNNING, network).load()
    return tuple(dict.fromkeys((*running, *PeerFile(home / FILE, network).load())))
