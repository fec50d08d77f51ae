"""What devices say when they meet: who is named in the answer to a greeting, and where they are.

Guards: an answer has room for a few members; the DHT knows the rest.
"""

from collections.abc import Callable, Iterable
from itertools import islice

from pockethive.core.canonical import decode_object, encode, from_text, to_text
from pockethive.core.entry import Entry, Member
from pockethive.dht.contact import Contact

MAX_GREETING = 8_000
MAX_TOLD = 4  # members named in one answer (a message holds 8 kB)


def answer(own: Entry | None, others: Iterable[Entry]) -> bytes:
    """The answer to a greeting: the first of the others, and how this device is advertised."""
    last = () if own is None else (own,)
    told = (*islice(others, MAX_TOLD - len(last)), *last)
    return encode({"members": [to_text(entry.wire) for entry in told]})


def named(data: bytes, open_entry: Callable[[bytes], Entry]) -> list[Entry]:
    """The members named in an answer. Raises BadEncoding, BadSignature."""
    told = decode_object(data, MAX_GREETING).get("members", [])
    texts = told[:MAX_TOLD] if isinstance(told, list) else []
    return [open_entry(from_text(text)) for text in texts]


def contact_of(member: Member) -> Contact:
    """Where a device can be asked."""
    return Contact(from_text(member.device, 32), member.host, member.port)
