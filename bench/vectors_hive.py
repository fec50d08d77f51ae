"""Test vectors of private hives: charter, member list, sealed key and body, invitation, joining."""

from typing import Any, Final

from pockethive.core.canonical import digest
from pockethive.dht import admission
from pockethive.dht.admission import Application, AskNonce, Introduction
from pockethive.dht.charter import Charter, FounderKey
from pockethive.dht.contact import Contact
from pockethive.dht.hive_key import HiveKeys, seal_key
from pockethive.dht.identity import Identity, OwnerKey, certify
from pockethive.dht.invitation import Invitation, verifier
from pockethive.dht.member_list import Listed, MemberList, sign_list
from pockethive.dht.membership import News, vouch

NOW: Final = 1_800_000_000
HIVE_SEED, OWNER_SEED, EPHEMERAL = (bytes((n,)) * 32 for n in (3, 4, 5))
FOUNDER, OWNER = FounderKey.from_seed(HIVE_SEED), OwnerKey.from_seed(OWNER_SEED)
CHARTER = Charter(FOUNDER.public, "village-1")
GENERATION: Final = 2
KEY = bytes(range(100, 132))
SECRET = bytes(range(16))
SEEDS = [bytes((n,)) * 32 for n in range(10, 19)]  # nine devices: two pages
DEVICES = [Identity.from_seed(seed) for seed in SEEDS]
PLACE = "note", bytes(range(20)), DEVICES[0].public, b"slot"


def hive_vectors() -> dict[str, Any]:
    """The parts of the file about private hives."""
    return {
        "charter": {
            "seed": HIVE_SEED.hex(),
            "key": FOUNDER.public.hex(),
            "name": CHARTER.name,
            "bytes": CHARTER.encode().hex(),
            "id": CHARTER.id.hex(),
            "network": CHARTER.network,
            "list_key": CHARTER.list_key.hex(),
        },
        "member_list": _list(),
        "sealed_key": {
            "ephemeral": EPHEMERAL.hex(),
            "device_seed": SEEDS[0].hex(),
            "hive": CHARTER.id.hex(),
            "generation": GENERATION,
            "key": KEY.hex(),
            "bytes": _sealed(DEVICES[0]).hex(),
        },
        "sealed_body": _body(),
        "invitation": _invitation(),
        "joining": _joining(),
    }


def _sealed(device: Identity) -> bytes:
    return seal_key(KEY, device.public, CHARTER.id, GENERATION, lambda size: EPHEMERAL[:size])


def _listed() -> MemberList:
    members = [
        Listed(
            owner=OWNER.public,
            owner_name="Grüße",
            device=device.public,
            device_name=f"laptop {number}",
            certificate=certify(OWNER, device.public),
            since=NOW + number,
            sealed=_sealed(device),
        )
        for number, device in enumerate(DEVICES)
    ]
    return MemberList(7, GENERATION, tuple(sorted(members, key=lambda member: member.device)))


def _list() -> dict[str, Any]:
    listed = _listed()
    records = sign_list(FOUNDER, CHARTER, listed, NOW + 600)
    return {
        "version": listed.version,
        "generation": listed.generation,
        "members": [
            {
                "owner": member.owner.hex(),
                "owner_name": member.owner_name,
                "device": member.device.hex(),
                "device_name": member.device_name,
                "certificate": member.certificate.hex(),
                "since": member.since,
                "sealed": member.sealed.hex(),
            }
            for member in listed.members
        ],
        "rank": listed.rank[1].hex(),
        "records": [
            {"slot": record.slot.hex(), "body": record.body.hex(), "bytes": record.encode().hex()}
            for record in records
        ],
    }


def _body() -> dict[str, Any]:
    kind, key, author, slot = PLACE
    context = digest("body context", kind.encode(), key, author, slot)
    return {
        "generation": GENERATION,
        "key": KEY.hex(),
        "kind": kind,
        "record_key": key.hex(),
        "author": author.hex(),
        "slot": slot.hex(),
        "plain": b"said once".hex(),
        "bytes": HiveKeys({GENERATION: KEY}).seal(context, b"said once").hex(),
    }


def _invitation() -> dict[str, Any]:
    contacts = (
        Contact(DEVICES[0].public, "192.0.2.7", 7300),
        Contact(DEVICES[0].public, "2001:db8::7", 7300),
    )
    made = Invitation(
        charter=CHARTER,
        contacts=contacts,
        secret=SECRET,
        expires=NOW + 3600,
        uses=3,
        inviter=DEVICES[0].public,
    ).signed(FOUNDER)
    key = verifier(SECRET)
    return {
        "contacts": [str(contact) for contact in contacts],
        "secret": SECRET.hex(),
        "expires": made.expires,
        "uses": made.uses,
        "inviter": made.inviter.hex(),
        "signature": made.signature.hex(),
        "link": made.link(),
        "verifier": key.hex(),
        "verifier_name": digest("invitation name", key).hex(),
    }


def _joining() -> dict[str, Any]:
    """Device 0 admits device 1, which later vouches for device 2 and introduces itself."""
    admitter, device = DEVICES[0], DEVICES[1]
    key, nonce = verifier(SECRET), bytes(range(50, 82))
    asked = Application(
        invitation=digest("invitation name", key),
        nonce=nonce,
        owner=OWNER.public,
        owner_name="Grüße",
        device_name="phone",
        certificate=certify(OWNER, device.public),
    ).proven(key, CHARTER.id, admitter.public, device.public)
    voucher = vouch(device, DEVICES[2].public, CHARTER.id)
    news = News(7, 3, (voucher,))
    contact = str(Contact(device.public, "192.0.2.8", 4400))
    return {
        "admitter": admitter.public.hex(),
        "device": device.public.hex(),
        "nonce": nonce.hex(),
        "owner": asked.owner.hex(),
        "owner_name": asked.owner_name,
        "device_name": asked.device_name,
        "certificate": asked.certificate.hex(),
        "proof": asked.proof.hex(),
        "vouched": voucher.device.hex(),
        "voucher_signature": voucher.signature.hex(),
        "contact": contact,
        "ask_nonce": AskNonce(CHARTER.id).encode().hex(),
        "nonce_answer": admission.answer(nonce=nonce).hex(),
        "ask_admit": asked.encode().hex(),
        "news": news.encode().hex(),
        "news_answer": admission.answer(news=news.encode()).hex(),
        "ask_introduce": Introduction(CHARTER.id, news, contact).encode().hex(),
        "refusals": {word: admission.refusal(word).hex() for word in sorted(admission.REFUSALS)},
    }
