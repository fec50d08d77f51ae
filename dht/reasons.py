"""Why something was dropped, refused or not delivered: one code each, with one line of text.

Guards: whatever a peer does wrong is counted under exactly one of these, and nothing else can be
counted. A code travels as the `where` of a ProtocolError; what the rules of a hive or a record's
decoder raise without one is counted by the class of the error.
"""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError

SIZE: Final = "size"
VERSION: Final = "version"
KEY: Final = "key"
SEAL: Final = "seal"
CLOCK: Final = "clock"
REPLAY: Final = "replay"
FLOOD: Final = "flood"
PEER_FLOOD: Final = "peer-flood"
HEAD: Final = "head"
BUNDLE: Final = "bundle"
FRAGMENT: Final = "fragment"
MSGPACK: Final = "msgpack"
SHAPE: Final = "shape"
CONTACTS: Final = "contacts"
METHOD: Final = "method"
SHORT: Final = "short"
PROOF: Final = "proof"
UNPROVEN: Final = "unproven"
LATE: Final = "late"
IMPOSTOR: Final = "impostor"
STRANGER: Final = "stranger"
PUZZLE: Final = "puzzle"
CLIENT: Final = "client"
BUSY: Final = "busy"
EXPIRED: Final = "expired"
SIGNATURE: Final = "signature"
ENCODING: Final = "encoding"
REFUSED: Final = "refused"
STORAGE: Final = "storage"
TIMEOUT: Final = "timeout"
UNREACHABLE: Final = "unreachable"
BLOB_FRAME: Final = "blob-frame"
BLOB_PROOF: Final = "blob-proof"
BLOB_HANDSHAKE: Final = "blob-handshake"
BLOB_BUSY: Final = "blob-busy"
BLOB_MANIFEST: Final = "blob-manifest"
BLOB_BYTES: Final = "blob-bytes"
BLOB_SEAL: Final = "blob-seal"
FOREIGN: Final = "foreign"
UNSEALED: Final = "unsealed"
INTERNAL: Final = "internal"

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        SIZE: "a datagram shorter or longer than any of ours",
        VERSION: "another version of sealed datagrams",
        KEY: "a sender's key that is no key, or our own",
        SEAL: "a seal that does not open: damaged, forged, or for somebody else",
        CLOCK: "sealed too long ago, or one of two clocks is wrong",
        REPLAY: "a datagram that was received before",
        FLOOD: "more datagrams from one subnet, or more first ones, than this node reads",
        PEER_FLOOD: "more messages from one key than this node handles",
        HEAD: "a message without a head, or with an impossible one",
        BUNDLE: "messages in one datagram that do not fill it exactly",
        FRAGMENT: "fragments of one message that disagree on their number",
        MSGPACK: "a payload that is not MessagePack",
        SHAPE: "a value of another type or size than its place takes",
        CONTACTS: "a list of contacts that is damaged or too long",
        METHOD: "no such method, or not with these arguments",
        SHORT: "a request too short to be answered before its address is proved",
        PROOF: "a proof of another address, or of one given up long ago",
        UNPROVEN: "a request that is heard only from an address proved before",
        LATE: "an answer that nobody waits for, or not any more",
        IMPOSTOR: "an answer from another key than the one asked",
        STRANGER: "a request of somebody who does not belong to this hive",
        PUZZLE: "a key whose node id lacks the work that this hive asks for",
        CLIENT: "a request for storage or routing to a node that only asks",
        BUSY: "too much work at once",
        EXPIRED: "a record whose time is over",
        SIGNATURE: "a record that its author did not sign",
        ENCODING: "a record that is not canonical, or over its bounds",
        REFUSED: "refused by the rules of this node, or by a peer",
        STORAGE: "a record that could not be written",
        TIMEOUT: "a peer that did not answer",
        UNREACHABLE: "an address that the system cannot send to",
        BLOB_FRAME: "a blob frame out of shape or over its bound",
        BLOB_PROOF: "a blob client that cannot prove its key",
        BLOB_HANDSHAKE: "a blob connection that ended before it was one",
        BLOB_BUSY: "more blob connections than one peer or address may have",
        BLOB_MANIFEST: "a manifest that does not lead to the blob's name",
        BLOB_BYTES: "bytes that are not the chunk's",
        BLOB_SEAL: "bytes that a blob's key does not open",
        FOREIGN: "a member list that this hive's key did not sign, or at another place",
        UNSEALED: "a body that is not encrypted for this hive, or does not open",
        INTERNAL: "a fault of this program; please report it",
    }
)


class Counts(Counter[str]):
    """How often each reason occurred. Counting an unknown one is a KeyError."""

    def __setitem__(self, code: str, count: int) -> None:
        if code not in REASONS:
            raise KeyError(f"{code!r} is no reason code; name it in reasons.py")
        super().__setitem__(code, count)

    def note(self, error: ProtocolError) -> str:
        """Count an error under its one code; the code."""
        code = code_of(error)
        self[code] += 1
        return code


def code_of(error: ProtocolError) -> str:
    """The code in `where`, or the one for errors of this class."""
    if error.where in REASONS:
        return error.where
    if isinstance(error, BadSignature):
        return SIGNATURE
    return ENCODING if isinstance(error, BadEncoding) else REFUSED
