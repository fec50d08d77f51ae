"""What only a device with the hive's key can do: found a hive, invite, admit, revoke, renew.

Guards: each is one transaction on the home's hive, so a node that admits and a command that revokes
at the same moment do not undo each other; a revocation is the next version of the list and a new
generation of the hive's key, sealed to those who stay.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pockethive.core.canonical import from_text, to_text
from pockethive.core.errors import BadEncoding, BadInput, Failure
from pockethive.dht.admission import FORGED, FULL, TAKEN, UNKNOWN, Application
from pockethive.dht.charter import Charter, FounderKey
from pockethive.dht.contact import Contact
from pockethive.dht.hive_key import KEY_SIZE, SEALED_SIZE, seal_key
from pockethive.dht.identity import PUBLIC_SIZE, Identity
from pockethive.dht.invitation import (
    MAX_CONTACTS,
    SECRET_SIZE,
    Invitation,
    check_terms,
    verifier,
)
from pockethive.dht.member_list import (
    LIFE,
    MAX_MEMBERS,
    Listed,
    MemberList,
    changed,
    check_name,
    sign_list,
)
from pockethive.dht.record import Record
from pockethive.hive_store import FILE, HiveStore
from pockethive.home import NODE, own, person_of
from pockethive.naming import is_taken

RandBytes = Callable[[int], bytes]
Clock = Callable[[], float]

_SHORTEST: Final = 4  # characters of a key that may stand for it


class Founder:
    """Holds a hive's key over a home's store. Any thread."""

    def __init__(
        self,
        key: FounderKey,
        store: HiveStore,
        clock: Clock = time.time,
        randbytes: RandBytes = os.urandom,
    ) -> None:
        self._key, self._store, self._clock, self._randbytes = key, store, clock, randbytes

    @classmethod
    def of(cls, home: Path, store: HiveStore) -> "Founder | None":
        """The founder of this home's hive, if the home holds its key. Raises StorageError."""
        if not (home / FounderKey.FILE).exists():
            return None
        return cls(FounderKey.load_or_create(home), store)

    def found(self, name: str, first: Listed) -> MemberList:
        """Begin a hive with its first device (its `sealed` is made here).

        Raises:
            BadEncoding: no name of a hive. StorageError: the home belongs to another hive.
        """
        charter = Charter(self._key.public, name)
        with self._store.changing():
            self._store.belong(charter)
            if (known := self._store.newest()) is not None:
                return known
            return self._write(None, [first], new_generation=True)

    def invite(
        self, contacts: Sequence[Contact], inviter: bytes, uses: int, seconds: int
    ) -> Invitation:
        """A signed invitation, counted in the store. Raises BadInvitation: out of bounds."""
        check_terms(uses, seconds)
        now, secret = self._clock(), self._randbytes(SECRET_SIZE)
        made = Invitation(
            charter=self._charter,
            contacts=tuple(contacts[:MAX_CONTACTS]),
            secret=secret,
            expires=int(now) + seconds,
            uses=uses,
            inviter=inviter,
        ).signed(self._key)
        self._store.invite(verifier(secret), uses, made.expires, now)
        return made

    def admit(self, admitter: bytes, device: bytes, asked: Application) -> str:
        """Put a device on the list; why not (one of `REFUSALS`), or nothing.

        Raises:
            ProtocolError: what it handed in does not hold.
        """
        charter = self._charter
        invitation = self._store.invitation(asked.invitation)
        if invitation is None:
            return UNKNOWN
        if not asked.proves(invitation.verifier, charter.id, admitter, device):
            return FORGED
        with self._store.changing():
            current = self._current()
            others = [member for member in current.members if member.device != device]
            if len(others) >= MAX_MEMBERS:
                return FULL
            if is_taken(asked.device_name, [member.device_name for member in others]):
                return TAKEN
            newcomer = Listed(
                owner=asked.owner,
                owner_name=asked.owner_name,
                device=device,
                device_name=asked.device_name,
                certificate=asked.certificate,
                since=int(self._clock()),
                sealed=self._seal(device, current.generation),
            )
            listed = len(others) < len(current.members)
            refused = self._store.count_use(asked.invitation, device, self._clock(), listed=listed)
            if not refused:
                self._write(current, [*others, newcomer])
            return refused

    def revoke(self, who: str, own: bytes) -> tuple[Listed, ...]:
        """Take a device, or all devices of an owner, off the list; those that were.

        Invitations that let them in are closed, and no other open one readmits them.

        `who` is a device's or owner's name or the beginning of its key; `own` is this device.

        Raises:
            BadInput: nobody or several are meant, or this device itself.
        """
        with self._store.changing():
            current = self._current()
            gone = _meant(current, who)
            if any(member.device == own for member in gone):
                raise BadInput(
                    "this device holds the hive's key and cannot be revoked",
                    cure="name another device, or found a new hive in a new home",
                )
            stay = [member for member in current.members if member not in gone]
            self._write(current, stay, new_generation=True)
            self._store.bar(member.device for member in gone)
        return gone

    def renew(self) -> bool:
        """Sign the list anew when its records have lived half their life; True when it was."""
        with self._store.changing():
            records = self._store.records()
            until = min((record.expires for record in records), default=0)
            if not records or until - self._clock() > LIFE / 2:
                return False
            self._store.keep(self._signed(self._current()))
        return True

    @property
    def _charter(self) -> Charter:
        charter = self._store.charter
        if charter is None or charter.public != self._key.public:
            raise Failure("this home's key is of another hive", where=FILE)
        return charter

    def _current(self) -> MemberList:
        current = self._store.newest()
        if current is None:
            raise Failure("this home has no member list", where=FILE)
        return current

    def _write(
        self, current: MemberList | None, members: Sequence[Listed], *, new_generation: bool = False
    ) -> MemberList:
        generation = 0 if current is None else current.generation
        if new_generation:
            generation += 1
            self._store.keep_key(generation, self._randbytes(KEY_SIZE))
            members = [replace(m, sealed=self._seal(m.device, generation)) for m in members]
        made = changed(current, generation, members)
        self._store.keep(self._signed(made))
        return made

    def _signed(self, listed: MemberList) -> list[Record]:
        before = max((record.expires for record in self._store.records()), default=0)
        # later than every earlier version: of two bodies of one place, stores keep the longer-lived
        until = max(int(self._clock()) + LIFE, before + 1)
        return sign_list(self._key, self._charter, listed, until)

    def _seal(self, device: bytes, generation: int) -> bytes:
        key = self._store.keys()[generation]
        return seal_key(key, device, self._charter.id, generation, self._randbytes)


def found_hive(home: Path, name: str, device_name: str) -> HiveStore:
    """Begin a private hive in a home that belongs to none, with its `pockethive node` as the first
    device. Raises BadInput: a bad name; StorageError.
    """
    person = person_of(home)
    try:
        check_name(device_name)
        check_name(person.name)
        Charter(bytes(PUBLIC_SIZE), name)  # a bad name makes no key
    except BadEncoding as error:
        raise BadInput(str(error)) from error
    ownership = own(home, home / NODE)
    device = Identity.load_or_create(home / NODE)
    first = Listed(
        owner=from_text(ownership.owner_key),
        owner_name=person.name,
        device=device.public,
        device_name=device_name,
        certificate=from_text(ownership.certificate),
        since=int(time.time()),
        sealed=bytes(SEALED_SIZE),
    )
    store = HiveStore(home / FILE)
    try:
        Founder(FounderKey.load_or_create(home), store).found(name, first)
    except BaseException:
        store.close()
        raise
    return store


def _meant(current: MemberList, who: str) -> tuple[Listed, ...]:
    """The devices that a name or the beginning of a key means."""

    def fits(name: str, key: bytes) -> bool:
        return name == who or (len(who) >= _SHORTEST and to_text(key).startswith(who))

    devices = [m for m in current.members if fits(m.device_name, m.device)]
    if len(devices) == 1:
        return tuple(devices)
    owners = {m.owner for m in current.members if fits(m.owner_name, m.owner)}
    if not devices and len(owners) == 1:
        return tuple(m for m in current.members if m.owner in owners)
    if not devices and not owners:
        raise BadInput(
            f"nobody on the member list is called {who!r}", cure="see: pockethive members"
        )
    raise BadInput(
        f"{who!r} means several devices or people", cure="give the beginning of a key instead"
    )
