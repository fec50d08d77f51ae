"""How blobs travel, as a protocol: TLS between real devices (`tls.py`), memory in a simulation.

Guards: an answer says in one byte what it is, and whoever may not have a blob is answered like one
who asks for a blob that is not here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from pockethive.core.errors import NetworkError
from pockethive.dht.contact import Contact
from pockethive.dht.reasons import Counts

HEAD: Final = 2**32 - 1
"""The index that asks for a small blob itself, or for a large one's manifest."""


class Kind(IntEnum):
    """What an answer's bytes are."""

    WHOLE = 0
    MANIFEST = 1
    CHUNK = 2
    REFUSED = 3


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to (name, index). Its bytes are not yet checked."""

    kind: Kind
    data: bytes | bytearray


REFUSED: Final = Reply(Kind.REFUSED, b"")

Answer = Callable[[bytes, str, int], Reply]
"""`(peer's public key, blob name, chunk index or HEAD) -> reply`. Called on worker threads."""


class BlobCarrier(Protocol):
    """One device's way to others' blobs. Belongs to one event loop.

    Attributes:
        counters: what peers did wrong, by reason code.
    """

    counters: Counts

    async def listen(self, contact: Contact, answer: Answer) -> None:
        """Serve at the contact's address. Raises OSError when it is taken."""

    async def ask(self, contact: Contact, name: str, index: int) -> Reply:
        """What a contact gives for a chunk. Several asks to one contact may wait at a time.

        Raises:
            NetworkError: not reachable, too slow, missing, or refused.
            ProtocolError: a frame out of bounds.
        """

    def hang_up(self, contact: Contact) -> None:
        """End the connection to a contact, if there is one."""

    async def close(self) -> None:
        """Stop serving, close connections."""


def missing(contact: Contact) -> NetworkError:
    """The same for a blob that is not there and for one that the asker may not have."""
    return NetworkError(
        "that device does not give the blob", where=f"{contact.host}:{contact.port}"
    )
