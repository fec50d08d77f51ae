"""The roster: who counts as a member, and who does not any more."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pockethive.actors.alive import PING_METHOD
from pockethive.actors.egress import Egress
from pockethive.actors.entries import Entries
from pockethive.actors.roster import (
    FAREWELL,
    FRESH_SECONDS,
    MAX_TTL_SECONDS,
    METHOD,
    TTL_SECONDS,
    Roster,
)
from pockethive.core.canonical import encode, to_text
from pockethive.core.entry import Kind, Member
from pockethive.core.errors import NetworkError
from pockethive.core.labels import Label
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity, OwnerKey, certify
from pockethive.dht.record import Record

NOW = 1_000_000.0
MANY = 100
DOOR = Contact(bytes(range(32)), "127.0.0.1", 1)


class Wire:
    """What a roster asks of its node; `deaf` devices do not answer greetings."""

    def __init__(self) -> None:
        self.deaf: set[bytes] = set()
        self.stored: list[Record] = []
        self.handlers: dict[str, Any] = {}
        self.asked: list[str] = []

    def serve(self, method: str, handler: Any) -> None:
        self.handlers[method] = handler

    def contacts(self) -> tuple[Contact, ...]:
        return ()

    async def put(self, record: Record) -> None:
        self.stored.append(record)

    async def get_some(
        self, _key: bytes, most: int, _known: Sequence[bytes]
    ) -> tuple[tuple[Record, ...], bool]:
        return tuple(self.stored[:most]), len(self.stored) > most

    async def request(
        self,
        contact: Contact,
        method: str,
        _body: bytes,
        *,
        timeout: float = 3.0,  # noqa: ASYNC109 - the name that the node gives it
    ) -> bytes:
        self.asked.append(method)
        if contact.public in self.deaf:
            raise NetworkError("no answer")
        return encode({"members": []})


class Device:
    """Somebody who can introduce itself."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.identity, owner = Identity.load_or_create(folder), OwnerKey.load_or_create(folder)
        self.entries = Entries(self.identity, "home")
        self.member = Member(
            device=self.entries.device,
            owner_key=to_text(owner.public),
            certificate=to_text(certify(owner, self.identity.public)),
            host="127.0.0.1",
            port=7,
            skills=(),
            checkers=(),
            model="",
            documents=0,
            works=True,
        )

    def says(self, ttl: float) -> Record:
        return self.entries.sign(Kind.MEMBER, self.member, int(NOW + ttl))[0]


class Hive:
    """One roster under test, and the devices around it."""

    def __init__(self, folder: Path) -> None:
        self.wire, self.now, self.told = Wire(), NOW, 0
        self.me, self.other = Device(folder / "me"), Device(folder / "other")
        node: Any = self.wire
        node.identity = self.me.identity
        door = Egress(node, lambda _: Label.PUBLIC, private=False)
        self.roster = Roster(node, door, self.me.entries, lambda: self.now, self.changed)

    def changed(self, _members: tuple[Member, ...]) -> None:
        self.told += 1

    @property
    def others(self) -> set[str]:
        return {str(m.device) for m in self.roster.members} - {self.me.member.device}

    async def greeted(self, ttl: float) -> None:
        await self.wire.handlers[METHOD](self.other.identity.public, self.says(ttl))

    def says(self, ttl: float) -> bytes:
        return self.other.says(ttl).encode()


def test_an_advertisement_nobody_stands_behind_makes_no_member(tmp_path: Path) -> None:
    async def play() -> None:
        hive = Hive(tmp_path)
        hive.wire.stored.append(hive.other.says(100))
        await hive.roster.read()
        assert hive.others == {hive.other.member.device}
        hive.wire.deaf.add(hive.other.identity.public)
        told = hive.told
        await hive.roster.advertise(hive.me.member)
        assert hive.others == set()
        await hive.roster.check()  # changes may wait a moment, but no run begins without them
        assert hive.told > told
        await hive.roster.read()  # the DHT still has it
        assert hive.others == set()
        await hive.greeted(101)  # it is back
        assert hive.others == {hive.other.member.device}

    asyncio.run(play())


def test_a_device_that_has_spoken_may_miss_one_greeting(tmp_path: Path) -> None:
    async def play() -> None:
        hive = Hive(tmp_path)
        await hive.greeted(100)
        hive.wire.deaf.add(hive.other.identity.public)
        await hive.roster.advertise(hive.me.member)
        assert hive.others == {hive.other.member.device}
        await hive.roster.advertise(hive.me.member)
        assert hive.others == set()

    asyncio.run(play())


def test_who_is_known_by_hearsay_has_not_spoken_and_whoever_waits_hears_when_it_does(
    tmp_path: Path,
) -> None:
    async def play() -> None:
        hive, spoke = Hive(tmp_path), threading.Event()
        hive.roster.spoke = spoke.set
        other = hive.other.member.device
        hive.wire.stored.append(hive.other.says(100))
        await hive.roster.read()
        assert hive.others == {other}
        assert not hive.roster.has_spoken(other)
        assert not spoke.is_set()
        await hive.greeted(100)  # nothing new in it, but it has spoken
        assert hive.roster.has_spoken(other)
        assert spoke.is_set()
        await hive.wire.handlers[FAREWELL](hive.other.identity.public, b"")
        assert not hive.roster.has_spoken(other)  # no member any more, whatever it said

    asyncio.run(play())


def test_what_has_expired_is_forgotten_and_nobody_stays_for_ever(tmp_path: Path) -> None:
    async def play() -> None:
        hive = Hive(tmp_path)
        await hive.greeted(MAX_TTL_SECONDS + 10)
        assert hive.others == set()
        await hive.greeted(TTL_SECONDS)
        assert hive.others == {hive.other.member.device}
        hive.now += TTL_SECONDS
        await hive.roster.advertise(hive.me.member)
        assert hive.roster.member(hive.other.member.device) is None

    asyncio.run(play())


def test_who_knows_this_device_is_not_greeted_again_until_it_changes(tmp_path: Path) -> None:
    async def play() -> None:
        hive = Hive(tmp_path)
        await hive.greeted(TTL_SECONDS)
        await hive.roster.advertise(hive.me.member)
        await hive.roster.advertise(hive.me.member)
        assert hive.wire.asked == [METHOD]
        await hive.roster.advertise(replace(hive.me.member, works=False))
        assert hive.wire.asked == [METHOD, METHOD]

    asyncio.run(play())


def test_before_a_run_those_not_heard_of_lately_are_asked_and_the_silent_dropped(
    tmp_path: Path,
) -> None:
    async def play() -> None:
        hive = Hive(tmp_path)
        await hive.greeted(TTL_SECONDS)
        await hive.roster.check()
        assert hive.wire.asked == []  # it has just spoken
        hive.now += FRESH_SECONDS + 1
        await hive.roster.check()
        assert hive.wire.asked == [PING_METHOD]
        hive.now += FRESH_SECONDS + 1
        hive.wire.deaf.add(hive.other.identity.public)
        await hive.roster.check()
        assert hive.others == set()

    asyncio.run(play())


def test_a_device_that_says_goodbye_is_no_member_until_it_speaks_again(tmp_path: Path) -> None:
    async def play() -> None:
        hive = Hive(tmp_path)
        hive.wire.stored.append(hive.other.says(100))
        await hive.greeted(100)
        await hive.wire.handlers[FAREWELL](hive.other.identity.public, b"")
        assert hive.others == set()
        await hive.roster.read()
        assert hive.others == set()
        await hive.greeted(100)
        assert hive.others == {hive.other.member.device}
        await hive.roster.farewell()
        assert hive.wire.asked == [FAREWELL]

    asyncio.run(play())


def test_the_lost_are_asked_now_and_then_and_are_members_again_when_they_answer(
    tmp_path: Path,
) -> None:
    async def play() -> None:
        hive = Hive(tmp_path)
        await hive.greeted(TTL_SECONDS)
        hive.wire.deaf.add(hive.other.identity.public)
        await hive.roster._pulse()
        assert hive.others == {hive.other.member.device}  # once is not enough
        await hive.roster._pulse()
        assert hive.others == set()
        await hive.roster._pulse()
        assert hive.others == set()
        hive.wire.deaf.clear()
        await hive.roster._pulse()
        assert hive.others == {hive.other.member.device}

    asyncio.run(play())


def test_of_a_large_hive_a_newcomer_learns_and_greets_a_part_and_before_a_run_the_rest(
    tmp_path: Path,
) -> None:
    async def play() -> None:
        hive = Hive(tmp_path)
        many = [Device(tmp_path / f"far {number}") for number in range(MANY)]
        hive.wire.stored.extend(device.says(100) for device in many)
        await hive.roster.read()
        assert 0 < len(hive.others) < MANY, "a part"
        part = len(hive.others)
        await hive.roster.advertise(hive.me.member)
        assert hive.wire.asked.count(METHOD) == part
        hive.wire.asked.clear()
        await hive.roster.check()
        assert len(hive.others) == MANY, "an owner knows all there is room for"
        told = hive.told
        await hive.roster.check()
        assert hive.told == told, "and nothing more is to be told"
        await hive.roster.advertise(hive.me.member)
        assert 0 < hive.wire.asked.count(METHOD) <= part, "the others hear pulse by pulse"

    asyncio.run(play())


def test_who_greets_has_heard_what_this_device_is_and_is_not_greeted_for_that(
    tmp_path: Path,
) -> None:
    async def play() -> None:
        hive = Hive(tmp_path)
        await hive.roster.advertise(hive.me.member)
        await hive.greeted(100)
        assert hive.others == {hive.other.member.device}
        await hive.roster.advertise(hive.me.member)
        assert METHOD not in hive.wire.asked

    asyncio.run(play())
