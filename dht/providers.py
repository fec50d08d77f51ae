"""Provider records: who says that he gives a blob, where he is, until when.

The record stands under a hash of the blob's name, is signed by the provider, and its body is
`{"contact": "key@host:port", "size": bytes, "v": 1}`. Nothing is announced that nobody asked to
announce: `Node.provide` is called for blobs that their holder may serve and others may know of.

Guards: a record names its own author as the provider, so nobody can send others' peers to a third
device; a device renews what it announced only while it has the blob.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pockethive.core.canonical import decode_object, digest, encode
from pockethive.core.errors import (
    BadEncoding,
    BadInvitation,
    NetworkError,
    ProtocolError,
    StorageError,
)
from pockethive.dht.chunks import MAX_BLOB, check_name
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity
from pockethive.dht.record import KEY_SIZE, Record, sign_record

log = logging.getLogger(__name__)

PROVIDER: Final = "provider"
"""The kind of these records; also the reason when one is not what it should be."""
MAX_PROVIDER_BODY: Final = 400
LIFE: Final = 6 * 3600
"""Seconds that one announcement holds; a third of it later it is renewed."""
MAX_PROVIDED: Final = 1024

_FIELDS = {"v", "contact", "size"}


@dataclass(frozen=True, slots=True)
class Provider:
    """A device that says it gives a blob of `size` bytes."""

    contact: Contact
    size: int


def provider_key(name: str) -> bytes:
    """The DHT key of a blob's providers. Raises BadEncoding: not a blob's name."""
    return digest("blob-provider", bytes.fromhex(check_name(name)))[:KEY_SIZE]


def sign_provider(
    identity: Identity, contact: Contact, name: str, size: int, expires: int
) -> Record:
    """The announcement of `identity`, reachable at `contact`."""
    body = encode({"v": 1, "contact": str(contact), "size": size})
    return sign_record(identity, PROVIDER, provider_key(name), b"", expires, body)


def read_provider(record: Record) -> Provider:
    """What a provider record says.

    Raises:
        BadEncoding: malformed. ProtocolError: it names another device than its author.
    """
    value = decode_object(record.body, MAX_PROVIDER_BODY)
    version = value.get("v")
    if value.keys() != _FIELDS or version != 1 or version is True:
        raise BadEncoding("not a provider record of version 1", where=PROVIDER)
    size, text = value["size"], value["contact"]
    if type(size) is not int or not 0 <= size <= MAX_BLOB or not isinstance(text, str):
        raise BadEncoding("a provider record has a contact and a size", where=PROVIDER)
    try:
        contact = Contact.parse(text)
    except BadInvitation as error:
        raise BadEncoding("a provider's contact does not parse", where=PROVIDER) from error
    if contact.public != record.author:
        raise ProtocolError("a provider record that names another device", where=PROVIDER)
    return Provider(contact, size)


def check_provider(record: Record) -> None:
    """Raises ProtocolError unless it is a provider's announcement, or takes one back."""
    if record.slot:
        raise BadEncoding("a provider has one place a blob", where=PROVIDER)
    if not record.tombstone:
        read_provider(record)


def read_providers(records: Iterable[Record]) -> tuple[Provider, ...]:
    """The providers among records of one key; what is no provider record is left out."""
    found = []
    for record in records:
        if record.kind == PROVIDER and not record.tombstone:
            try:
                found.append(read_provider(record))
            except ProtocolError as error:
                log.debug("a provider record is left out: %s", error)
    return tuple(found)


class Announcements:
    """What this node announces, and renews. Belongs to the loop's thread."""

    def __init__(self, announce: Callable[[str], Awaitable[int]]) -> None:
        self._announce = announce
        self._names: OrderedDict[str, None] = OrderedDict()

    def add(self, name: str) -> None:
        """Renew this one from now on; beyond `MAX_PROVIDED` the oldest is forgotten."""
        self._names[name] = None
        self._names.move_to_end(name)
        while len(self._names) > MAX_PROVIDED:
            self._names.popitem(last=False)

    async def renew(self) -> None:
        """For ever, a third of a life apart. The node runs it as a task."""
        while True:
            await asyncio.sleep(LIFE / 3)
            for name in tuple(self._names):
                try:
                    await self._announce(name)
                except NetworkError as error:
                    log.debug("a blob is announced later: %s", error)
                except (StorageError, ProtocolError) as error:  # no longer here, or not given
                    self._names.pop(name, None)
                    log.debug("a blob is announced no more: %s", error)
