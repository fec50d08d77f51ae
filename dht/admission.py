"""Asking for a place on the list: what a joining device and one that admits say to each other.

    joiner                                   device that holds the hive's key
      {"ask": "nonce", "hive"}         ->
                                       <-    {"nonce"}
      {"ask": "admit", …, "proof"}     ->    checks, counts the invitation, writes the next list
                                       <-    {"version", "pages"}
    and a device that belongs already says who it is:
      {"ask": "introduce", "hive", "news", "contact"} -> {"news"}

The proof is HMAC-SHA256 under the invitation's verifier over hive, both device keys, the nonce and
all that is handed in: it serves nobody else, for nothing else, and not twice. Guards: every field
is bounded; a refusal is one of a few words, for which each side has its own sentence.
"""

import hmac
from dataclasses import dataclass
from typing import Any, Final

from pockethive.core.canonical import decode_object, digest, encode, from_text, to_text
from pockethive.core.errors import BadEncoding
from pockethive.dht.identity import PUBLIC_SIZE, SIGNATURE_SIZE
from pockethive.dht.member_list import check_name
from pockethive.dht.membership import MAX_NEWS, News

METHOD: Final = "join"  # the one direct request that strangers may make
NEWS_METHOD: Final = "hive"  # between members
NONCE_SIZE: Final = 32
MAX_ASKED: Final = 2 * MAX_NEWS

FOREIGN: Final = "foreign"
UNKNOWN: Final = "unknown"
EXPIRED: Final = "expired"
USED_UP: Final = "used-up"
FORGED: Final = "forged"
FULL: Final = "full"
TAKEN: Final = "taken"
CLOSED: Final = "closed"
NO_MEMBER: Final = "no-member"
REFUSALS: Final = {
    FOREIGN: "the device at this address belongs to another hive",
    UNKNOWN: "this invitation is not known any more",
    EXPIRED: "this invitation has expired",
    USED_UP: "this invitation is used up",
    FORGED: "this invitation's secret is wrong",
    FULL: "the hive's member list is full",
    TAKEN: "another device of the hive has this name",
    CLOSED: "the device at this address cannot let anybody in: it does not hold the hive's key",
    NO_MEMBER: "this device is not on the hive's member list: it was revoked, or never joined",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What a joining device hands in. `invitation` names the open invitation by a hash."""

    invitation: bytes
    nonce: bytes
    owner: bytes
    owner_name: str
    device_name: str
    certificate: bytes
    proof: bytes = bytes(32)

    def proven(self, key: bytes, hive: bytes, admitter: bytes, device: bytes) -> "Application":
        """The same, with its proof under the invitation's verifier `key`."""
        return Application(
            invitation=self.invitation,
            nonce=self.nonce,
            owner=self.owner,
            owner_name=self.owner_name,
            device_name=self.device_name,
            certificate=self.certificate,
            proof=self._proof(key, hive, admitter, device),
        )

    def proves(self, key: bytes, hive: bytes, admitter: bytes, device: bytes) -> bool:
        """Whether it was made with `key`, for this hive, by `device` for `admitter`."""
        return hmac.compare_digest(self.proof, self._proof(key, hive, admitter, device))

    def encode(self) -> bytes:
        """As it travels."""
        return encode(
            {
                "v": 1,
                "ask": "admit",
                "invitation": to_text(self.invitation),
                "nonce": to_text(self.nonce),
                "owner": to_text(self.owner),
                "owner_name": self.owner_name,
                "device_name": self.device_name,
                "certificate": to_text(self.certificate),
                "proof": to_text(self.proof),
            }
        )

    def _proof(self, key: bytes, hive: bytes, admitter: bytes, device: bytes) -> bytes:
        names = self.owner_name.encode(), self.device_name.encode()
        said = digest(
            "join proof", hive, admitter, device, self.nonce, self.owner, *names, self.certificate
        )
        return hmac.digest(key, said, "sha256")


@dataclass(frozen=True, slots=True)
class AskNonce:
    """The first question of a joining device. `hive` is the charter's id."""

    hive: bytes

    def encode(self) -> bytes:
        """As it travels."""
        return encode({"v": 1, "ask": "nonce", "hive": to_text(self.hive)})


@dataclass(frozen=True, slots=True)
class Introduction:
    """A device that belongs says so, with its voucher among the news if it is not listed.

    `contact` is where it can be asked for a newer list, should it have one.
    """

    hive: bytes
    news: News
    contact: str

    def encode(self) -> bytes:
        """As it travels."""
        return encode(
            {
                "v": 1,
                "ask": "introduce",
                "hive": to_text(self.hive),
                "news": to_text(self.news.encode()),
                "contact": self.contact,
            }
        )


Asked = AskNonce | Application | Introduction


def read_asked(data: bytes) -> Asked:
    """What somebody asks of the method `join`. Raises BadEncoding."""
    value = decode_object(data, MAX_ASKED)
    version = value.pop("v", None)
    if version != 1 or version is True:
        raise BadEncoding("not a request to join of version 1", where="shape")
    if not all(isinstance(item, str) for item in value.values()):
        raise BadEncoding("a request to join with a field that is no text", where="shape")
    match value.pop("ask", None), sorted(value):
        case "nonce", ["hive"]:
            return AskNonce(from_text(value["hive"], 32))
        case "introduce", ["contact", "hive", "news"]:
            news = News.decode(from_text(value["news"]))
            return Introduction(from_text(value["hive"], 32), news, value["contact"])
        case "admit", fields if fields == _APPLICATION:
            return Application(
                invitation=from_text(value["invitation"], 32),
                nonce=from_text(value["nonce"], NONCE_SIZE),
                owner=from_text(value["owner"], PUBLIC_SIZE),
                owner_name=check_name(value["owner_name"]),
                device_name=check_name(value["device_name"]),
                certificate=from_text(value["certificate"], SIGNATURE_SIZE),
                proof=from_text(value["proof"], 32),
            )
    raise BadEncoding("no such request to join", where="shape")


def refusal(reason: str) -> bytes:
    """The answer that says no, for one of `REFUSALS`."""
    return encode({"v": 1, "refused": reason})


def answer(**fields: bytes) -> bytes:
    """An answer's bytes fields, as they travel."""
    return encode({"v": 1, **{name: to_text(value) for name, value in fields.items()}})


def read_answer(data: bytes, field: str) -> tuple[str, bytes]:
    """(reason of the refusal or nothing, the field that was asked for). Raises BadEncoding."""
    value: dict[str, Any] = decode_object(data, MAX_ASKED)
    version = value.pop("v", None)
    if version != 1 or version is True or len(value) != 1:
        raise BadEncoding("not an answer to a request to join", where="shape")
    refused, found = value.get("refused"), value.get(field)
    if isinstance(refused, str) and refused in REFUSALS:
        return refused, b""
    if not isinstance(found, str):
        raise BadEncoding("not an answer to a request to join", where="shape")
    return "", from_text(found)


_APPLICATION: Final = sorted(
    ("invitation", "nonce", "owner", "owner_name", "device_name", "certificate", "proof")
)
