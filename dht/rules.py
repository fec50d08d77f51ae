"""What a node may store and how it witnesses, as a protocol that the composition root hands in.

Guards: the DHT knows no agents; a rule is a pure function of its arguments, so every node that runs
the same rules keeps the same records and gives the same answer from the same cell.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.dht.providers import LIFE, MAX_PROVIDER_BODY, PROVIDER, check_provider
from pockethive.dht.record import MAX_BODY, Record

NOTE = "note"
_NAME = 20

Held = Callable[[str], Sequence[Record]]
"""`(kind) -> the live records of that kind` under the key that a rule is asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindLimit:
    """Bounds of one kind of record: body in bytes, life in seconds, places under one key.

    `max_own` bounds one author's places under one key. `removable`: whether the author may take a
    record back with a tombstone.
    """

    max_body: int = 1200  # such a record stays under 2,000 bytes on the wire
    max_ttl: int = 7 * 86400
    max_slots: int = 64
    max_own: int = 16
    removable: bool = True


PROVIDERS: Final = KindLimit(max_body=MAX_PROVIDER_BODY, max_ttl=2 * LIFE, max_own=1)
"""Bounds of provider records, the same wherever they are allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request to a witness.

    Attributes:
        peer: the authenticated public key of whoever asks.
        cell: the durable value as it is now; None when there is none.
        request: opaque bytes of the caller.
        now: unix seconds.
        born: unix seconds when this witness's database was made. Promises older than that are lost.
    """

    peer: bytes
    cell: bytes | None
    request: bytes
    now: float
    born: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The cell's next value, durable before `reply` leaves; None removes the cell."""

    cell: bytes | None
    reply: bytes


class Rules(Protocol):
    """Pure: no clock, no I/O. `cell_key` and `decide` may run on the witness's thread."""

    def limit(self, kind: str) -> KindLimit:
        """Bounds of a kind. Raises ProtocolError for kinds this node does not store."""

    def check(self, record: Record, now: float) -> None:
        """Raises ProtocolError when a record must not be stored. Its signature is verified.

        Tombstones of removable kinds come here too.
        """

    def fits(self, record: Record, held: Held) -> None:
        """Raises ProtocolError when a record contradicts what is held under its key."""

    def ranking(self, kind: str, held: Held) -> Callable[[bytes], int]:
        """Whose places stay when a key has too many of a kind: author -> rank, smallest first.

        It may not depend on what the ranked authors wrote, or replicas that saw the same records
        in another order would keep other ones.
        """

    def cell_key(self, request: bytes) -> bytes:
        """Which durable cell (at most 64 bytes) a request is about. Raises ProtocolError."""

    def decide(self, ask: Ask) -> Decision:
        """Compare and set one cell. Raises ProtocolError to refuse without a trace."""


def _equal(author: bytes) -> int:  # noqa: ARG001 - a rank that looks at nobody
    return 0


class OpenRules:
    """Rules of a node that stands alone: notes, providers of blobs, and write-once registers.

    A witness request is a name of 20 bytes followed by a value; the reply is the value that the
    register holds, which is the first one it was given.
    """

    def limit(self, kind: str) -> KindLimit:
        if kind == PROVIDER:
            return PROVIDERS
        if kind != NOTE:
            raise ProtocolError(f"this node does not store {kind!r} records")
        return KindLimit()

    def check(self, record: Record, now: float) -> None:  # noqa: ARG002 - notes have no age
        """Notes need nothing beyond their signature, size and expiry."""
        if record.kind == PROVIDER:
            check_provider(record)

    def fits(self, record: Record, held: Held) -> None:
        """Notes contradict nothing."""

    def ranking(self, kind: str, held: Held) -> Callable[[bytes], int]:  # noqa: ARG002 - a protocol
        """All authors are strangers here."""
        return _equal

    def cell_key(self, request: bytes) -> bytes:
        if not _NAME < len(request) <= _NAME + MAX_BODY:
            raise BadEncoding("a register request is a name of 20 bytes and a value")
        return request[:_NAME]

    def decide(self, ask: Ask) -> Decision:
        value = ask.request[_NAME:] if ask.cell is None else ask.cell
        return Decision(cell=value, reply=value)
