"""Shapes of messages inside sealed datagrams.

    kind 1 | message id 8 | fragment index 1 | fragment count 1 | payload

A request's payload is MessagePack `[method, arguments...]`; a reply's is `[0, value]`, or
`[1, reason]` for a refusal. Guards: everything read here is bounded and checked before use.
"""

import socket
import struct
from collections.abc import Sequence
from typing import Any, Final

import umsgpack

from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.dht.contact import Contact
from pockethive.dht.seal import MAX_PLAIN

REQUEST: Final = 0
REPLY: Final = 1
CHALLENGE: Final = 2
PROOF: Final = 3

HEAD: Final = struct.Struct(">BQBB")
MAX_FRAGMENTS: Final = 8
MAX_FRAGMENT: Final = MAX_PLAIN - HEAD.size
MAX_PAYLOAD: Final = MAX_FRAGMENTS * MAX_FRAGMENT
MAX_BODY: Final = 8192  # of a direct request or its reply; the rest of a payload is framing
MAX_METHOD: Final = 32

_FAMILIES: Final = {4: (socket.AF_INET, 4), 6: (socket.AF_INET6, 16)}


def pack_request(method: str, arguments: Sequence[object]) -> bytes:
    """Raises BadEncoding when it does not fit into one message."""
    return _bounded(umsgpack.packb([method, *arguments]))


def unpack_request(payload: bytes) -> tuple[str, list[Any]]:
    """Method and arguments. Raises BadEncoding."""
    value = _unpack(payload)
    if not (isinstance(value, list) and value and isinstance(value[0], str)):
        raise BadEncoding("a request is a list that begins with a method", where="shape")
    return value[0][:MAX_METHOD], value[1:]


def pack_reply(value: object) -> bytes:
    """Raises BadEncoding when it does not fit into one message."""
    return _bounded(umsgpack.packb([0, value]))


def pack_refusal(reason: str) -> bytes:
    return bytes(umsgpack.packb([1, reason[:200]]))


def unpack_reply(payload: bytes) -> Any:
    """The value of a reply.

    Raises:
        BadEncoding: no reply.
        ProtocolError: the peer refused; its reason is in `what`.
    """
    value = _unpack(payload)
    if not (isinstance(value, list) and len(value) == 2 and value[0] in (0, 1)):
        raise BadEncoding("a reply is a status and a value", where="shape")
    if value[0] == 1:
        raise ProtocolError(f"the peer refused: {str(value[1])[:200]}", where="refused")
    return value[1]


def need(value: object, size: int | None = None, limit: int = MAX_BODY) -> bytes:
    """`value` if it is bytes of that size or under that limit. Raises BadEncoding."""
    if not isinstance(value, bytes) or len(value) > limit or (size and len(value) != size):
        raise BadEncoding("an argument of another type or size", where="shape")
    return value


def need_list(value: object, limit: int) -> list[Any]:
    """`value` if it is a list of at most so many items. Raises BadEncoding."""
    if not isinstance(value, list) or len(value) > limit:
        raise BadEncoding("an argument of another type or size", where="shape")
    return value


def pack_contacts(contacts: Sequence[Contact]) -> bytes:
    """Contacts one after another: key 32, family 4 or 6, address, port 2."""
    parts: list[bytes] = []
    for contact in contacts:
        family = 6 if ":" in contact.host else 4
        host = socket.inet_pton(_FAMILIES[family][0], contact.host)
        parts += (contact.public, bytes((family,)), host, contact.port.to_bytes(2, "big"))
    return b"".join(parts)


def unpack_contacts(data: object, limit: int) -> list[Contact]:
    """At most `limit` contacts, with addresses one can send to. Raises BadEncoding."""
    contacts: list[Contact] = []
    raw, at = need(data), 0
    while at < len(raw):
        family = raw[at + 32] if at + 32 < len(raw) else 0
        if family not in _FAMILIES or len(contacts) == limit:
            raise BadEncoding("damaged or too many contacts", where="contacts")
        kind, size = _FAMILIES[family]
        host, end = raw[at + 33 : at + 33 + size], at + 33 + size + 2
        if end > len(raw):
            raise BadEncoding("a cut contact", where="contacts")
        port = int.from_bytes(raw[end - 2 : end], "big")
        if port and reachable(host):
            contacts.append(Contact(raw[at : at + 32], socket.inet_ntop(kind, host), port))
        at = end
    return contacts


def is_address(host: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        socket.inet_pton(_FAMILIES[6 if ":" in host else 4][0], host)
    except OSError:
        return False
    return True


def reachable(host: bytes) -> bool:
    """Not the unspecified address, not multicast or broadcast."""
    if not any(host):
        return False
    return host[0] != 0xFF if len(host) == 16 else 0 < host[0] < 224


def _bounded(payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD:
        raise BadEncoding(f"a message of {len(payload)} bytes, at most {MAX_PAYLOAD} travel")
    return payload


def _unpack(payload: bytes) -> Any:
    try:
        return umsgpack.unpackb(payload)
    except (
        umsgpack.UnpackException,
        RecursionError,
        ValueError,
        TypeError,
        OverflowError,
    ) as error:
        raise BadEncoding(f"not MessagePack: {type(error).__name__}", where="msgpack") from error
