"""docs/wire.md suffices for private hives too: the second implementation makes their vectors."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.dht.second import (
    Device,
    body_context,
    charter,
    digest,
    encoded,
    join_proof,
    link,
    member_list,
    opened_body,
    opened_key,
    read_link,
    record,
    sealed_body,
    sealed_key,
    text,
    unbased,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "vectors.json").read_text(encoding="utf-8")
)
CHARTER, LIST, INVITATION = (VECTORS[n] for n in ("charter", "member_list", "invitation"))
HIVE = Device(bytes.fromhex(CHARTER["seed"]))
JOINING: dict[str, Any] = VECTORS["joining"]
ID = bytes.fromhex(CHARTER["id"])


def unhexed(given: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(given[name]) for name in names]


def verify(public: bytes, signature: bytes, message: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(public).verify(signature, message)


def test_the_charter() -> None:
    whole, identifier, network, list_key = charter(HIVE.public, CHARTER["name"])
    assert HIVE.public.hex() == CHARTER["key"]
    assert (whole.hex(), identifier.hex()) == (CHARTER["bytes"], CHARTER["id"])
    assert (network, list_key.hex()) == (CHARTER["network"], CHARTER["list_key"])


def test_the_member_list_and_its_records() -> None:
    rows = []
    for one in LIST["members"]:
        owner, device, certificate, sealed = unhexed(
            one, "owner", "device", "certificate", "sealed"
        )
        verify(owner, certificate, digest("owner-certifies-device", owner, device))
        names = one["owner_name"], one["device_name"]
        rows.append([owner, names[0], device, names[1], certificate, one["since"], sealed])
    made = member_list(LIST["version"], LIST["generation"], rows[::-1])
    assert [len(rows), len(made)] == [9, 3]
    assert digest("member list", made[0][1]).hex() == LIST["rank"]
    for (slot, body), given in zip(made, LIST["records"], strict=True):
        assert (slot.hex(), body.hex()) == (given["slot"], given["body"])
        fields = json.loads(bytes.fromhex(given["bytes"]))
        assert (fields["kind"], fields["author"]) == ("hive-list", text(HIVE.public))
        assert fields["key"] == text(bytes.fromhex(CHARTER["list_key"]))
        assert (fields["slot"], fields["body"]) == (text(slot), text(body))
        signed, whole = record(fields)
        assert whole.hex() == given["bytes"]
        verify(HIVE.public, unbased(fields["signature"]), signed)


def test_the_key_of_a_generation_sealed_to_a_device() -> None:
    given = VECTORS["sealed_key"]
    device = Device(bytes.fromhex(given["device_seed"]))
    ephemeral, hive, key, sealed = unhexed(given, "ephemeral", "hive", "key", "bytes")
    assert sealed_key(key, device.public, hive, given["generation"], ephemeral) == sealed
    assert len(sealed) == 80
    assert opened_key(device, sealed, hive, given["generation"]) == key
    with pytest.raises(InvalidTag):
        opened_key(device, sealed, hive, given["generation"] + 1)


def test_an_encrypted_body() -> None:
    given = VECTORS["sealed_body"]
    key, plain, sealed, *place = unhexed(
        given, "key", "plain", "bytes", "record_key", "author", "slot"
    )
    context = body_context(given["generation"], given["kind"], *place)
    assert sealed_body(key, context, plain) == sealed
    assert opened_body(key, context, sealed) == plain
    with pytest.raises(InvalidTag):
        opened_body(key, body_context(given["generation"], "task", *place), sealed)


def test_the_link_of_an_invitation() -> None:
    fields = {
        "contacts": INVITATION["contacts"],
        "expires": INVITATION["expires"],
        "hive": CHARTER["name"],
        "inviter": bytes.fromhex(INVITATION["inviter"]),
        "key": HIVE.public,
        "secret": bytes.fromhex(INVITATION["secret"]),
        "uses": INVITATION["uses"],
        "v": 1,
    }
    assert link(fields, HIVE.key.sign) == INVITATION["link"]
    assert len(INVITATION["link"]) <= 2400
    read, signed, signature = read_link(INVITATION["link"])
    assert encoded(read) == encoded(fields)
    verify(HIVE.public, signature, signed)
    with pytest.raises(InvalidSignature):
        verify(HIVE.public, signature, digest("invitation", encoded({**read, "uses": 4})))
    verifier = digest("invitation secret", bytes.fromhex(INVITATION["secret"]))
    assert verifier.hex() == INVITATION["verifier"]
    assert digest("invitation name", verifier).hex() == INVITATION["verifier_name"]


def test_what_a_joining_device_and_the_one_that_admits_it_say() -> None:
    verifier, name = unhexed(INVITATION, "verifier", "verifier_name")
    admitter, device, nonce, owner, certificate = unhexed(
        JOINING, "admitter", "device", "nonce", "owner", "certificate"
    )
    names = JOINING["owner_name"].encode(), JOINING["device_name"].encode()
    proof = join_proof(verifier, ID, admitter, device, nonce, owner, *names, certificate)
    assert proof.hex() == JOINING["proof"]
    admit = {"ask": "admit", "certificate": certificate, "device_name": JOINING["device_name"]}
    admit |= {"invitation": name, "nonce": nonce, "owner": owner, "v": 1}
    admit |= {"owner_name": JOINING["owner_name"], "proof": proof}
    asked = {"ask": "nonce", "hive": ID, "v": 1}
    assert encoded(asked).hex() == JOINING["ask_nonce"]
    assert encoded({"nonce": nonce, "v": 1}).hex() == JOINING["nonce_answer"]
    assert encoded(admit).hex() == JOINING["ask_admit"]
    for word, given in JOINING["refusals"].items():
        assert encoded({"refused": word, "v": 1}).hex() == given


def test_news_with_a_voucher_and_an_introduction() -> None:
    sponsor, device, signature = unhexed(JOINING, "device", "vouched", "voucher_signature")
    verify(sponsor, signature, digest("device vouches for device", ID, sponsor, device))
    vouchers = [[sponsor, device, signature]]
    news = encoded({"pages": 3, "v": 1, "version": 7, "vouchers": vouchers})
    assert news.hex() == JOINING["news"]
    assert encoded({"news": news, "v": 1}).hex() == JOINING["news_answer"]
    said = {"ask": "introduce", "contact": JOINING["contact"], "hive": ID, "news": news, "v": 1}
    assert encoded(said).hex() == JOINING["ask_introduce"]
