"""Invitations: a link, signed by the hive's key, that lets its bearer ask for a place on the list.

    pockethive://join/<base64url of canonical JSON {"v", "hive", "key", "contacts", "secret",
                       "expires", "uses", "inviter", "signature"}>

`inviter` is the device that made it; the signature is the hive's, so that a link whose contacts
were exchanged does not verify. Guards: a link is a secret: whoever reads it may use it, so it
expires and is counted; every fault of a link is one sentence.
"""

from dataclasses import dataclass
from typing import Any, Final

from pockethive.core.canonical import decode_object, digest, encode, from_text, to_text
from pockethive.core.errors import BadEncoding, BadInvitation
from pockethive.dht.charter import Charter, FounderKey
from pockethive.dht.contact import Contact
from pockethive.dht.identity import PUBLIC_SIZE, SIGNATURE_SIZE, verify

SCHEME: Final = "pockethive://join/"
SECRET_SIZE: Final = 16
MAX_CONTACTS: Final = 4
MAX_USES: Final = 64
MAX_LIFE: Final = 30 * 86_400  # seconds
MAX_LINK: Final = 2_400  # characters; the largest still fits into one QR code
_MAX_BYTES: Final = 1_780
_MAX_TIME: Final = 2**40
_FIELDS: Final = frozenset(
    ("v", "hive", "key", "contacts", "secret", "expires", "uses", "inviter", "signature")
)
_CURE: Final = "copy the whole link, or ask for a new one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What a link says. `expires` is unix seconds; `contacts` can let people in."""

    charter: Charter
    contacts: tuple[Contact, ...]
    secret: bytes
    expires: int
    uses: int
    inviter: bytes
    signature: bytes = bytes(SIGNATURE_SIZE)

    def signed(self, founder: FounderKey) -> "Invitation":
        """The same, with the hive's signature. Raises BadInvitation: over a bound."""
        made = Invitation(
            charter=self.charter,
            contacts=self.contacts,
            secret=self.secret,
            expires=self.expires,
            uses=self.uses,
            inviter=self.inviter,
            signature=founder.sign(_message(self)),
        )
        if read_link(made.link()) != made:
            raise BadInvitation("this invitation does not fit into a link")
        return made

    def link(self) -> str:
        """The text to hand over."""
        value = {**_unsigned(self), "signature": to_text(self.signature)}
        return SCHEME + to_text(encode(value))


def check_terms(uses: int, seconds: int) -> None:
    """Raises BadInvitation: more or fewer than an invitation may have."""
    if not 0 < uses <= MAX_USES:
        raise BadInvitation(f"{uses} uses; an invitation has 1 to {MAX_USES}")
    if not 0 < seconds <= MAX_LIFE:
        raise BadInvitation(
            f"an invitation that expires after {seconds} s; it lives from one second to "
            f"{MAX_LIFE // 86_400} days",
            cure="for example --expires 24h",
        )


def read_link(text: str) -> Invitation:
    """The invitation behind a link, with its signature verified; expiry is the caller's to judge.

    Raises:
        BadInvitation: damaged, forged, or no link at all.
    """
    link = text.strip()
    if not link.startswith(SCHEME):
        raise BadInvitation("this is no invitation", cure=f"a link begins with {SCHEME}")
    if len(link) > MAX_LINK:
        raise BadInvitation("this link is too long to be an invitation", cure=_CURE)
    try:
        read = _read(decode_object(from_text(link[len(SCHEME) :]), _MAX_BYTES))
    except BadEncoding as error:
        raise BadInvitation("this invitation is damaged", cure=_CURE) from error
    except BadInvitation as error:
        raise BadInvitation("this invitation is damaged", cure=_CURE) from error
    if not verify(read.charter.public, _message(read), read.signature):
        raise BadInvitation(
            "this invitation is forged: the hive did not sign it",
            cure="ask the person who invited you for a new link",
        )
    return read


def verifier(secret: bytes) -> bytes:
    """What the inviter keeps instead of the secret, and what both ends prove with."""
    return digest("invitation secret", secret)


def _read(value: dict[str, Any]) -> Invitation:
    if value.keys() != _FIELDS or value["v"] != 1 or value["v"] is True:
        raise BadEncoding("not an invitation of version 1")
    texts = ("hive", "key", "secret", "inviter", "signature")
    contacts = value["contacts"]
    if not all(isinstance(value[name], str) for name in texts) or not (
        isinstance(contacts, list)
        and 0 < len(contacts) <= MAX_CONTACTS
        and all(isinstance(one, str) for one in contacts)
    ):
        raise BadEncoding("an invitation with a field of another type")
    for name, most in (("expires", _MAX_TIME), ("uses", MAX_USES)):
        if type(value[name]) is not int or not 0 < value[name] <= most:
            raise BadEncoding(f"an invitation whose {name} is out of range")
    return Invitation(
        charter=Charter(from_text(value["key"], PUBLIC_SIZE), value["hive"]),
        contacts=tuple(map(Contact.parse, contacts)),
        secret=from_text(value["secret"], SECRET_SIZE),
        expires=value["expires"],
        uses=value["uses"],
        inviter=from_text(value["inviter"], PUBLIC_SIZE),
        signature=from_text(value["signature"], SIGNATURE_SIZE),
    )


def _unsigned(invitation: Invitation) -> dict[str, object]:
    return {
        "v": 1,
        "hive": invitation.charter.name,
        "key": to_text(invitation.charter.public),
        "contacts": [str(contact) for contact in invitation.contacts],
        "secret": to_text(invitation.secret),
        "expires": invitation.expires,
        "uses": invitation.uses,
        "inviter": to_text(invitation.inviter),
    }


def _message(invitation: Invitation) -> bytes:
    return digest("invitation", encode(_unsigned(invitation)))
