"""What attackers of a private hive send: links, lists, sealed keys and requests to join, warped.

Half of it is damaged as bytes; the other half has a wrong value in a right place, signed by the
hive's own key where something is signed. Everything follows from the random source.
"""

import json
import random
from collections.abc import Callable
from typing import Any

from pockethive.core.canonical import decode_object, digest, encode, to_text
from pockethive.core.errors import BadEncoding
from pockethive.dht import admission
from pockethive.dht.admission import Application, AskNonce, Introduction
from pockethive.dht.charter import Charter, FounderKey
from pockethive.dht.contact import Contact
from pockethive.dht.hive_key import HiveKeys, seal_key
from pockethive.dht.identity import OwnerKey, certify
from pockethive.dht.invitation import SCHEME, Invitation, verifier
from pockethive.dht.member_list import KIND, Listed, MemberList, sign_list, slot
from pockethive.dht.membership import News, vouch
from pockethive.dht.record import MAX_BODY, Record, sign_record
from pockethive.dht.testing import NOW, somebody

MEMBERS = 9  # two pages


class HiveForge:
    """One hive, whose key everybody has here."""

    def __init__(self, rng: random.Random, mutated: Callable[[bytes], bytes]) -> None:
        self.rng, self.mutated = rng, mutated
        self.founder, owner = FounderKey.from_seed(bytes(32)), OwnerKey.from_seed(bytes((1,)) * 32)
        self.charter = Charter(self.founder.public, "village")
        self.device, self.key = somebody("member 0"), bytes(range(32))
        devices = [somebody(f"member {number}") for number in range(MEMBERS)]
        members = [
            Listed(
                owner=owner.public,
                owner_name="anna",
                device=device.public,
                device_name="laptop",
                certificate=certify(owner, device.public),
                since=int(NOW),
                sealed=seal_key(self.key, device.public, self.charter.id, 1, rng.randbytes),
            )
            for device in devices
        ]
        listed = MemberList(1, 1, tuple(sorted(members, key=lambda member: member.device)))
        self.records = sign_list(self.founder, self.charter, listed, int(NOW) + 600)
        self.sealed = next(m.sealed for m in listed.members if m.device == self.device.public)
        self.keys = HiveKeys({1: self.key})
        self.body = self.keys.seal(b"here", b"a body")
        contact = Contact(self.device.public, "192.0.2.7", 7300)
        self.link = Invitation(
            charter=self.charter,
            contacts=(contact, Contact(self.device.public, "2001:db8::7", 1)),
            secret=bytes(16),
            expires=int(NOW),
            uses=3,
            inviter=self.device.public,
        ).signed(self.founder)
        application = Application(
            invitation=bytes(32),
            nonce=bytes(32),
            owner=owner.public,
            owner_name="anna",
            device_name="phone",
            certificate=certify(owner, self.device.public),
        ).proven(verifier(bytes(16)), self.charter.id, devices[1].public, self.device.public)
        vouchers = tuple(vouch(self.device, d.public, self.charter.id) for d in devices[1:3])
        self.news = News(1, 3, vouchers)
        self.asked = [
            AskNonce(self.charter.id).encode(),
            application.encode(),
            Introduction(self.charter.id, self.news, str(contact)).encode(),
        ]
        self.answers = [
            admission.answer(nonce=bytes(32)),
            admission.answer(news=self.news.encode()),
            admission.refusal(admission.FULL),
        ]

    def spoiled(self, data: bytes) -> bytes:
        """A canonical object, damaged in its bytes or in its values."""
        if self.rng.random() < 0.5:
            return self.mutated(data)
        return self.spelled(self.warped(decode_object(data, 10**6)))

    def invitation(self) -> str:
        """A link; of those with wrong values half are signed."""
        if self.rng.random() < 0.4:
            return self.mutated(self.link.link().encode()).decode(
                self.rng.choice(["latin-1", "utf-8"]), "replace"
            )
        value = json.loads(encode(self._unsigned()))
        value = self.warped(value)
        if isinstance(value, dict) and self.rng.random() < 0.5:
            message = digest("invitation", self.spelled(value))
            value = {**value, "signature": to_text(self.founder.sign(message))}
        return SCHEME + to_text(self.spelled(value))

    def page(self) -> Record:
        """A record of the member list that the hive has signed, whatever its body says."""
        number = self.rng.randrange(len(self.records))
        body = self.spoiled(self.records[number].body)[:MAX_BODY]
        place = self.rng.choice([slot(number), slot(number), slot(64), b"", b"40", b"head "])
        key = self.rng.choice([self.charter.list_key] * 9 + [bytes(20)])
        return sign_record(self.founder, KIND, key, place, int(NOW) + 700, body)

    def pages(self) -> list[Record]:
        """The true records and forged ones, in any order, some missing."""
        records = [*self.records, *(self.page() for _ in range(self.rng.randrange(4)))]
        self.rng.shuffle(records)
        return records[self.rng.randrange(3) :]

    def spelled(self, value: Any) -> bytes:
        """As canonical bytes where there are such, else as any JSON."""
        try:
            return encode(value)
        except (BadEncoding, TypeError, ValueError, RecursionError):
            return json.dumps(value).encode()

    def warped(self, value: Any, depth: int = 0) -> Any:
        """The same with one thing wrong, somewhere inside."""
        rng = self.rng
        if depth < 4 and isinstance(value, dict) and value and rng.random() < 0.9:
            name = rng.choice(list(value))
            changed = {**value, name: self.warped(value[name], depth + 1)}
            match rng.randrange(12):
                case 0:
                    del changed[name]
                case 1:
                    changed[rng.choice(["x", "", "v", "secret", "ask"])] = self.junk()
            return changed
        if depth < 4 and isinstance(value, list) and value and rng.random() < 0.9:
            at = rng.randrange(len(value))
            inner = [*value[:at], self.warped(value[at], depth + 1), *value[at + 1 :]]
            return rng.choice([inner, inner, inner, inner * rng.choice([0, 2, 70]), value[::-1]])
        if isinstance(value, str) and rng.random() < 0.6:
            return self.mutated(value.encode()).decode("utf-8", "replace")
        return self.junk()

    def junk(self) -> Any:
        """Any value of JSON, at and over the bounds."""
        rng = self.rng
        deep: Any = []
        for _ in range(rng.choice([1, 15, 16, 17, 40])):
            deep = [deep]
        return rng.choice(
            [
                *(0, 1, -1, 2, 64, 65, 2**32, 2**40, 2**48, 2**53, 2**53 + 1, 10**30),
                *(None, True, False, 1.5, "", " ", "x" * rng.choice([1, 33, 64, 5000]), "\ud800"),
                *([], {}, deep, {"v": 1}, "A" * 43, "A" * 44, "\x00", "\u202e", "pockethive"),
            ]
        )

    def _unsigned(self) -> dict[str, object]:
        link = self.link
        return {
            "v": 1,
            "hive": link.charter.name,
            "key": to_text(link.charter.public),
            "contacts": [str(contact) for contact in link.contacts],
            "secret": to_text(link.secret),
            "expires": link.expires,
            "uses": link.uses,
            "inviter": to_text(link.inviter),
        }
