"""Notes: small signed values under a key that people choose, the simplest thing a node keeps.

Guards: a note has at most 1,000 bytes and lives for at most seven days; its key is a tagged hash of
the key's text, so that whoever knows the text finds it; of one author and slot the newest counts.

The body is one byte of version, eight bytes of milliseconds since 1970 (big endian), the value.
Notes are not sealed: whoever may ask the nodes of the network can read them.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from pockethive.core.canonical import digest
from pockethive.core.errors import BadEncoding, BadInput
from pockethive.dht.identity import Identity
from pockethive.dht.record import KEY_SIZE, MAX_SLOT, Record, sign_record
from pockethive.dht.rules import NOTE, KindLimit

MAX_VALUE = 1_000  # bytes
MAX_SECONDS = 7 * 86_400
MAX_KEY_TEXT = 200  # bytes of UTF-8
_VERSION = 1
_HEAD = struct.Struct(">BQ")
_LAST = 2**50  # milliseconds; some 35,000 years

NOTE_LIMIT = KindLimit(max_body=_HEAD.size + MAX_VALUE, max_ttl=MAX_SECONDS, max_slots=64)
"""What a node stores of notes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An opened note. `at` and `expires` are unix seconds; `author` is a public key."""

    author: bytes
    slot: bytes
    at: float
    expires: int
    value: bytes


def note_key(text: str) -> bytes:
    """The DHT key of a key text, 20 bytes. Raises BadInput: empty, too long or not printable."""
    data = text.encode("utf-8", "surrogateescape")
    if not 0 < len(data) <= MAX_KEY_TEXT or not text.isprintable():
        raise BadInput(
            f"{text[:40]!r} is no key",
            cure=f"a key is printable text of at most {MAX_KEY_TEXT} bytes",
        )
    return digest("note key", data)[:KEY_SIZE]


def sign_note(
    identity: Identity, text: str, value: bytes, life: tuple[float, float], slot: str = ""
) -> Record:
    """The record of a note under the key `text`. `life`: unix seconds now, seconds it lives.

    Raises BadInput: over a bound.
    """
    now, seconds = life
    key, place = note_key(text), slot.encode("utf-8", "surrogateescape")
    if len(value) > MAX_VALUE or len(place) > MAX_SLOT:
        raise BadInput(
            f"a note of {len(value)} bytes in a slot of {len(place)}",
            cure=f"a note has at most {MAX_VALUE} bytes, its slot {MAX_SLOT}",
        )
    if not 1 <= seconds <= MAX_SECONDS:
        raise BadInput(
            f"a note cannot live for {seconds:g} seconds", cure="between one second and seven days"
        )
    body = _HEAD.pack(_VERSION, int(now * 1000)) + value
    return sign_record(identity, NOTE, key, place, int(now + seconds), body)


def open_note(record: Record) -> Note:
    """The note in a record whose signature has been verified. Raises BadEncoding."""
    body = record.body
    if record.kind != NOTE or not _HEAD.size <= len(body) <= _HEAD.size + MAX_VALUE:
        raise BadEncoding("not a note")
    version, at = _HEAD.unpack_from(body)
    if version != _VERSION or at > _LAST:
        raise BadEncoding("not a note of version 1")
    return Note(
        author=record.author,
        slot=record.slot,
        at=at / 1000,
        expires=record.expires,
        value=body[_HEAD.size :],
    )


def newest(records: Iterable[Record]) -> tuple[Note, ...]:
    """The newest note of each author and slot among records of one key; newest first."""
    found: dict[tuple[bytes, bytes], Note] = {}
    for record in records:
        try:
            note = open_note(record)
        except BadEncoding:
            continue
        known = found.get((note.author, note.slot))
        if known is None or (note.at, note.value) > (known.at, known.value):
            found[note.author, note.slot] = note
    return tuple(sorted(found.values(), key=lambda note: (-note.at, note.author, note.slot)))
