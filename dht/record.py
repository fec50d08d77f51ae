"""Records: what the DHT stores. Signed, immutable, expiring, of one canonical form.

Guards: the signature covers kind, key, author, slot, expiry and body, so a holder can neither
change nor prolong a record; (key, kind, author, slot) names the place where an author may hold one.
A record with an empty body is a tombstone: its author takes back whatever the place held. Version 2
is signed with others in a batch (`batch.py`): the signature is of the root to which its path leads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from pockethive.core.canonical import digest, from_any_text, to_text
from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError
from pockethive.dht.batch import (
    HASH_SIZE,
    HEAD_SIZE,
    MAX_BATCH,
    MAX_PATH,
    holds,
    leaf,
    paths,
    signed_bytes,
)
from pockethive.dht.identity import PUBLIC_SIZE, SIGNATURE_SIZE, Identity, verify

SINGLE, BATCHED = 1, 2  # versions
KEY_SIZE = 20
MAX_KIND = 32
MAX_SLOT = 64
MAX_BODY = 4096
MAX_RECORD = 6144  # an encoded record must fit into one message of 8 KiB
_MAX_EXPIRES = 2**40

_FIELDS = frozenset(("v", "kind", "key", "author", "slot", "expires", "body", "signature"))
_BATCH_FIELDS = _FIELDS | {"path"}
_TEXTS = ("author", "body", "key", "kind", "signature", "slot")
# The canonical form around the signature. Its texts are base64url or a kind: none needs an escape.
_BEFORE = '{"author":"%s","body":"%s","expires":%d,"key":"%s","kind":"%s",'
_BEHIND = '"slot":"%s","v":%d}'
# The attributes of a record, in the order in which a batch makes them.
_MADE = (
    *("kind", "key", "author", "slot", "expires", "body"),
    *("signature", "path", "digest", "_wire", "_verified"),
)


@dataclass(frozen=True, slots=True)
class Record:
    """One signed entry. `expires` is unix seconds; `digest` is what the author signed.

    Raises (on construction):
        BadEncoding: a field of the wrong type, length or range.
    """

    kind: str
    key: bytes
    author: bytes
    slot: bytes
    expires: int
    body: bytes
    signature: bytes
    path: bytes = b""  # in the tree of its batch; empty: signed on its own
    digest: bytes = field(init=False, repr=False, compare=False)
    _wire: bytes = field(init=False, repr=False, compare=False)
    _verified: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        spelled = _spelled(self, to_text(self.author), BATCHED if self.path else SINGLE)
        object.__setattr__(self, "digest", _digest(spelled))
        object.__setattr__(self, "_wire", _wire(spelled, self.path, to_text(self.signature)))
        object.__setattr__(self, "_verified", False)

    @property
    def place(self) -> tuple[str, bytes, bytes]:
        """Under one key: where an author may hold one value."""
        return self.kind, self.author, self.slot

    @property
    def tombstone(self) -> bool:
        """Whether this record only says that its place is empty."""
        return not self.body

    @property
    def rank(self) -> tuple[bool, int, bytes]:
        """Total order for joins: tombstones, then the longest-lived; the digest breaks ties."""
        return not self.body, self.expires, self.digest

    @property
    def verified(self) -> bool:
        """Whether `verify` has found the signature good, or this process made it."""
        return self._verified

    def encode(self) -> bytes:
        """The canonical bytes that travel and are stored."""
        return self._wire

    @classmethod
    def decode(cls, data: bytes) -> "Record":
        """The record behind `encode`; the signature is not yet verified.

        Raises:
            BadEncoding: any other spelling, an unknown version or field, or over a bound.
        """
        value = _read(data)
        record = cls(
            kind=value["kind"],
            key=from_any_text(value["key"]),
            author=from_any_text(value["author"]),
            slot=from_any_text(value["slot"]),
            expires=value["expires"],
            body=from_any_text(value["body"]),
            signature=from_any_text(value["signature"]),
            path=from_any_text(value.get("path", "")),
        )
        if record.encode() != data:
            raise BadEncoding("not canonical: keys unsorted, white space or another spelling")
        return record

    def verify(self) -> None:
        """Raises BadSignature unless the author signed this record."""
        if not self._verified and not self._signed():
            raise BadSignature(f"the signature of a {self.kind} record does not verify")
        object.__setattr__(self, "_verified", True)

    def _signed(self) -> bool:
        if self.path:
            return holds(self.author, self.digest, self.path, self.signature)
        return verify(self.author, self.digest, self.signature)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a record says, before anybody signs it. Fields as in `Record`."""

    kind: str
    key: bytes
    slot: bytes
    expires: int
    body: bytes


def sign_batch(identity: Identity, drafts: Sequence[Draft]) -> list[Record]:
    """Records of `identity` under as few signatures as can be, in the order of the drafts.

    Raises BadEncoding when a field is out of bounds.
    """
    records: list[Record] = []
    for begin in range(0, len(drafts), MAX_BATCH):
        records += _sign_some(identity, drafts[begin : begin + MAX_BATCH])
    return records


def _sign_some(identity: Identity, drafts: Sequence[Draft]) -> list[Record]:
    author = to_text(identity.public)
    spelled = [_spelled(draft, author, BATCHED) for draft in drafts]
    digests = [_digest(each) for each in spelled]
    root, found = paths([leaf(each) for each in digests])
    signature = identity.sign(signed_bytes(root, len(drafts)))
    signed = to_text(signature)
    records = []
    for place, draft in enumerate(drafts):
        wire = _wire(spelled[place], found[place], signed)
        proof = (signature, found[place], digests[place], wire)
        records.append(_proven(draft, identity.public, proof))
    return records


def _proven(draft: Draft, author: bytes, proof: tuple[bytes, bytes, bytes, bytes]) -> Record:
    """A record of a batch: what is signed was spelled and hashed once, for the tree.

    `proof`: its signature, path, digest and wire.
    """
    said = (draft.kind, draft.key, author, draft.slot, draft.expires, draft.body)
    made: Record = object.__new__(Record)
    for name, value in zip(_MADE, (*said, *proof, True), strict=True):
        object.__setattr__(made, name, value)
    _check(made)
    if len(made.encode()) > MAX_RECORD:
        raise BadEncoding(f"a record of over {MAX_RECORD} bytes, with its path")
    return made


def sign_record(  # noqa: PLR0913, PLR0917 - the signed fields of a record, in their order
    identity: Identity, kind: str, key: bytes, slot: bytes, expires: int, body: bytes
) -> Record:
    """Make a record of `identity`. Raises BadEncoding when a field is out of bounds."""
    record = Record(kind, key, identity.public, slot, expires, body, bytes(SIGNATURE_SIZE))
    signed = replace(record, signature=identity.sign(record.digest))
    object.__setattr__(signed, "_verified", True)
    return signed


def sign_tombstone(identity: Identity, buried: Record, expires: int | None = None) -> Record:
    """Take a record back: an empty body in its place, for as long as the record could live.

    Holders bury with it every body of the place that could be stored while it lives, whatever
    their expiry. Raises ProtocolError when the record is another author's.
    """
    if buried.author != identity.public:
        raise ProtocolError("only its author can take a record back", where="author")
    until = buried.expires if expires is None else expires
    return sign_record(identity, buried.kind, buried.key, buried.slot, until, b"")


def _spelled(said: Record | Draft, author: str, version: int) -> tuple[str, str]:
    """The canonical form of a record, before and behind its signature."""
    key, body = to_text(said.key), to_text(said.body)
    before = _BEFORE % (author, body, said.expires, key, said.kind)
    return before, _BEHIND % (to_text(said.slot), version)


def _digest(spelled: tuple[str, str]) -> bytes:
    """What the author signs, 32 bytes."""
    before, behind = spelled
    return digest("record", f"{before}{behind}".encode())


def _wire(spelled: tuple[str, str], path: bytes, signature: str) -> bytes:
    """The canonical bytes of a record with its proof."""
    before, behind = spelled
    proof = f'"path":"{to_text(path)}",' if path else ""
    return f'{before}{proof}"signature":"{signature}",{behind}'.encode()


def _read(data: bytes) -> dict[str, Any]:
    """The fields of a record as JSON has them. Raises BadEncoding."""
    if len(data) > MAX_RECORD:
        raise BadEncoding(f"{len(data)} bytes, at most {MAX_RECORD} are allowed")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadEncoding(f"not JSON: {error}") from error
    if type(value) is not dict or type(value.get("v")) is not int:
        raise BadEncoding("not a record of version 1 or 2")
    fields = {SINGLE: _FIELDS, BATCHED: _BATCH_FIELDS}.get(value["v"])
    if value.keys() != fields:
        raise BadEncoding("not a record of version 1 or 2")
    for name in _TEXTS:
        if type(value[name]) is not str:
            raise BadEncoding(f"record field {name} is not text")
    if value["v"] == BATCHED and not (type(value["path"]) is str and value["path"]):
        raise BadEncoding("a record of a batch without its path")
    return value


def _check(record: Record) -> None:
    kind = record.kind
    if not (0 < len(kind) <= MAX_KIND and kind.isascii() and kind.replace("-", "").isalnum()):
        raise BadEncoding(f"not a record kind: {kind[:40]!r}")
    if type(record.expires) is not int or not 0 <= record.expires < _MAX_EXPIRES:
        raise BadEncoding("the expiry of a record is unix seconds")
    if len(record.key) != KEY_SIZE or len(record.author) != PUBLIC_SIZE:
        raise BadEncoding("a record's key has 20 bytes and its author 32")
    if len(record.slot) > MAX_SLOT or len(record.body) > MAX_BODY:
        raise BadEncoding(f"a slot has at most {MAX_SLOT} bytes and a body {MAX_BODY}")
    if len(record.signature) != SIGNATURE_SIZE:
        raise BadEncoding("a signature has 64 bytes")
    if len(record.path) > MAX_PATH or (record.path and len(record.path) % HASH_SIZE != HEAD_SIZE):
        raise BadEncoding(f"the path of a record has at most {MAX_PATH} bytes")
