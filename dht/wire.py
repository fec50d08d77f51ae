"""Shapes of messages inside sealed datagrams.

    kind 1 | message id 8 | fragment index 1 | fragment count 1 | payload
    4 | (size 2 | one of the above), twice or more: a bundle

A kind with its highest bit set is a client's: nobody puts its sender into tables. A request's
payload is MessagePack `[method, arguments...]`, filled up with zeros so that a challenge or a
refusal is never longer; a reply's is `[0, value]`, or `[1, reason]` for a refusal.
Guards: everything read here is bounded and checked before use.
"""

import socket
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import umsgpack

from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.dht import reasons
from pockethive.dht.contact import Contact
from pockethive.dht.packing import pack, unpack
from pockethive.dht.seal import MAX_PLAIN

REQUEST: Final = 0
REPLY: Final = 1
CHALLENGE: Final = 2
PROOF: Final = 3
BUNDLE: Final = 4  # the first byte of a datagram's plain, never a message's kind
CLIENT: Final = 0x80  # the sender does not want to be in tables

HEAD: Final = struct.Struct(">BQBB")
MAX_FRAGMENTS: Final = 8
MAX_FRAGMENT: Final = MAX_PLAIN - HEAD.size
MAX_PAYLOAD: Final = MAX_FRAGMENTS * MAX_FRAGMENT
MAX_BODY: Final = 8192  # of a direct request or its reply; the rest of a payload is framing
MAX_METHOD: Final = 32
MIN_REQUEST: Final = 16  # bytes of a request's payload: as long as a challenge or a refusal
_SIZE: Final = struct.Struct(">H")
MAX_BUNDLE: Final = (MAX_PLAIN - 1) // (_SIZE.size + HEAD.size)

_MAPPED: Final = bytes(10) + b"\xff\xff"
_LINK_LOCAL: Final = {bytes((0xFE, low)) for low in range(0x80, 0xC0)}  # fe80::/10
_NEIGHBOURS: Final = 2048  # contacts that were read last; less than a megabyte
_FAMILIES: Final = {4: (socket.AF_INET, 4), 6: (socket.AF_INET6, 16)}


def pack_request(method: str, arguments: Sequence[object]) -> bytes:
    """Raises BadEncoding when it does not fit into one message."""
    return _bounded(pack([method, *arguments])).ljust(MIN_REQUEST, b"\0")


def unpack_request(payload: bytes) -> tuple[str, list[Any]]:
    """Method and arguments. Raises BadEncoding."""
    value = _unpack(payload)
    if not (isinstance(value, list) and value and isinstance(value[0], str)):
        raise BadEncoding("a request is a list that begins with a method", where=reasons.SHAPE)
    return value[0][:MAX_METHOD], value[1:]


def pack_reply(value: object) -> bytes:
    """Raises BadEncoding when it does not fit into one message."""
    return _bounded(pack([0, value]))


def pack_refusal(reason: str, limit: int = MAX_PAYLOAD) -> bytes:
    """A refusal of at most `limit` bytes; a reason that does not fit is left out."""
    payload = pack([1, reason[:200]])
    return payload if len(payload) <= limit else pack([1, ""])


def unpack_reply(payload: bytes) -> Any:
    """The value of a reply.

    Raises:
        BadEncoding: no reply.
        ProtocolError: the peer refused; its reason is in `what`.
    """
    value = _unpack(payload)
    if not (isinstance(value, list) and len(value) == 2 and value[0] in (0, 1)):
        raise BadEncoding("a reply is a status and a value", where=reasons.SHAPE)
    if value[0] == 1:
        raise ProtocolError(f"the peer refused: {str(value[1])[:200]}", where=reasons.REFUSED)
    return value[1]


def bundle(plains: Sequence[bytes]) -> list[bytes]:
    """Messages with their heads, packed in order into as few plains of datagrams as hold them."""
    packed: list[bytes] = []
    held: list[bytes] = []
    size = 1
    for plain in plains:
        if held and size + _SIZE.size + len(plain) > MAX_PLAIN:
            packed.append(_bundled(held))
            held, size = [], 1
        held.append(plain)
        size += _SIZE.size + len(plain)
    packed.append(_bundled(held))
    return packed


def unbundle(plain: bytes) -> list[bytes]:
    """The messages in a datagram's plain bytes, with their heads. Raises BadEncoding."""
    if not plain or plain[0] != BUNDLE:
        return [plain]
    items: list[bytes] = []
    at, end = 1, len(plain)
    while at < end:
        if at + _SIZE.size > end:
            raise BadEncoding("a bundle cut in a size", where=reasons.BUNDLE)
        (size,) = _SIZE.unpack_from(plain, at)
        at += _SIZE.size + size
        if size < HEAD.size or at > end or len(items) == MAX_BUNDLE:
            raise BadEncoding("a bundle's sizes do not fit", where=reasons.BUNDLE)
        items.append(plain[at - size : at])
    if len(items) < 2:
        raise BadEncoding("a bundle of fewer than two messages", where=reasons.BUNDLE)
    return items


def need(value: object, size: int | None = None, limit: int = MAX_BODY) -> bytes:
    """`value` if it is bytes of that size or under that limit. Raises BadEncoding."""
    if not isinstance(value, bytes) or len(value) > limit or (size and len(value) != size):
        raise BadEncoding("an argument of another type or size", where=reasons.SHAPE)
    return value


def need_list(value: object, limit: int) -> list[Any]:
    """`value` if it is a list of at most so many items. Raises BadEncoding."""
    if not isinstance(value, list) or len(value) > limit:
        raise BadEncoding("an argument of another type or size", where=reasons.SHAPE)
    return value


def pack_contacts(contacts: Sequence[Contact]) -> bytes:
    """Contacts one after another: key 32, family 4 or 6, address, port 2."""
    return b"".join(map(pack_contact, contacts))


def pack_contact(contact: Contact) -> bytes:
    """One of them."""
    family = 6 if ":" in contact.host else 4
    host = socket.inet_pton(_FAMILIES[family][0], contact.host.partition("%")[0])
    return b"".join((contact.public, bytes((family,)), host, contact.port.to_bytes(2, "big")))


def unpack_contacts(data: object, limit: int, scope: str = "") -> list[Contact]:
    """At most `limit` contacts, with addresses one can send to.

    `scope` is the link that the answer came over: link-local addresses are that link's, and left
    out where it is unknown. Raises BadEncoding.
    """
    contacts: list[Contact] = []
    raw, at = need(data), 0
    while at < len(raw):
        family = raw[at + 32] if at + 32 < len(raw) else 0
        if family not in _FAMILIES or len(contacts) == limit:
            raise BadEncoding("damaged or too many contacts", where=reasons.CONTACTS)
        end = at + 35 + _FAMILIES[family][1]
        if end > len(raw):
            raise BadEncoding("a cut contact", where=reasons.CONTACTS)
        contact = _contact(raw[at:end], scope)
        if contact is not None:
            contacts.append(contact)
        at = end
    return contacts


@lru_cache(maxsize=_NEIGHBOURS)
def _contact(raw: bytes, scope: str) -> Contact | None:
    """A whole contact; None when nobody can send there. Neighbours name the same ones all day."""
    kind, size = _FAMILIES[raw[32]]
    host, port = raw[33:-2], int.from_bytes(raw[-2:], "big")
    local = host[:2] in _LINK_LOCAL and size == 16
    if not port or not reachable(host) or (local and not scope):
        return None
    return Contact(raw[:32], socket.inet_ntop(kind, host) + (f"%{scope}" if local else ""), port)


def is_address(host: str) -> bool:
    """Whether a host is an IP address rather than a name; a scope may follow after a `%`."""
    try:
        socket.inet_pton(_FAMILIES[6 if ":" in host else 4][0], host.partition("%")[0])
    except OSError:
        return False
    return True


def reachable(host: bytes) -> bool:
    """Not the unspecified address, not multicast or broadcast, not IPv4 in IPv6's clothes."""
    if not any(host) or (len(host) == 16 and host.startswith(_MAPPED)):
        return False
    return host[0] != 0xFF if len(host) == 16 else 0 < host[0] < 224


def _bundled(plains: list[bytes]) -> bytes:
    if len(plains) == 1:
        return plains[0]
    sized = (_SIZE.pack(len(plain)) + plain for plain in plains)
    return bytes((BUNDLE,)) + b"".join(sized)


def _bounded(payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD:
        raise BadEncoding(f"a message of {len(payload)} bytes, at most {MAX_PAYLOAD} travel")
    return payload


def _unpack(payload: bytes) -> Any:
    try:
        return unpack(payload)
    except (
        umsgpack.UnpackException,
        RecursionError,
        ValueError,
        TypeError,
        OverflowError,
    ) as error:
        raise BadEncoding(
            f"not MessagePack: {type(error).__name__}", where=reasons.MSGPACK
        ) from error
