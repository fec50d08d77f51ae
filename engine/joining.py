"""Joining a private hive with an invitation: prove the secret, hand in a certificate, get the list.

The contacts of the link are pinned by their keys and nobody else may speak to the node that asks.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pockethive.core.canonical import encode, from_text
from pockethive.core.errors import (
    BadInput,
    BadInvitation,
    Failure,
    NetworkError,
    ProtocolError,
    WrongClock,
)
from pockethive.dht import admission
from pockethive.dht.admission import METHOD, Application, AskNonce
from pockethive.dht.charter import FounderKey
from pockethive.dht.contact import Contact
from pockethive.dht.hive_key import open_key
from pockethive.dht.identity import Identity
from pockethive.dht.invitation import Invitation, read_link, verifier
from pockethive.dht.member_list import MemberList, check_name, newest
from pockethive.dht.membership import News
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.record import Record
from pockethive.dht.rules import OpenRules
from pockethive.hive import PAGE_METHOD
from pockethive.hive_store import FILE, HiveStore, hive_of, invitation_name
from pockethive.home import NODE, FolderLock, machine_name, own, person_of
from pockethive.naming import wishes
from pockethive.peers import FILE as PEERS
from pockethive.peers import PeerFile

_CURE: Final = "ask the person who invited you for a new link"
_INVITATION: Final = {
    admission.FOREIGN,
    admission.UNKNOWN,
    admission.EXPIRED,
    admission.USED_UP,
    admission.FORGED,
}
_LOOPBACK: Final = ("127.", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Joined:
    """What joining came to. `name`: of this home's device."""

    hive: str
    name: str
    members: int


class NameTaken(BadInput):
    """Another device of the hive has the name that was asked for."""


async def join_hive(home: Path, link: str, device_name: str | None) -> Joined:
    """Make this home's device a member of the hive that the link invites to.

    Without a name it keeps the one it has, or takes the machine's, numbered where that is taken.

    Raises:
        BadInvitation: damaged, forged, expired, used up, or of another hive than its devices are.
        BadInput: the home belongs to a hive already, or the name cannot be used or is taken.
        NetworkError: nobody that could let this device in answered.
    """
    invitation = read_link(link)
    if invitation.expires <= time.time():
        raise BadInvitation(
            f"{admission.REFUSALS[admission.EXPIRED]}, if this device's clock is right: it says "
            f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}",
            cure=_CURE,
        )
    _check_home(home, invitation)
    lock = FolderLock(home / NODE)
    if not lock.take():
        raise Failure(
            "a device of this home is running", where=str(home), cure="stop it and join again"
        )
    try:
        return await _join(home, invitation, device_name)
    finally:
        lock.release()


def _check_home(home: Path, invitation: Invitation) -> None:
    store = hive_of(home)
    if store is None:
        return
    charter = store.charter
    store.close()
    if charter != invitation.charter and charter is not None:
        raise BadInput(
            f"this home belongs to the hive {charter.name!r} already",
            where=str(home),
            cure="use another home: --home DIR",
        )
    if (home / FounderKey.FILE).exists():
        raise BadInput("this home founded the hive that the link invites to", where=str(home))


def _known_name(home: Path, device: bytes) -> str | None:
    """What the home's device is called on the list that it has, if it has one."""
    store = hive_of(home)
    if store is None:
        return None
    try:
        listed = store.newest()
    finally:
        store.close()
    entry = None if listed is None else listed.of(device)
    return None if entry is None else entry.device_name


async def _join(home: Path, invitation: Invitation, device_name: str | None) -> Joined:
    ownership, person = own(home, home / NODE), person_of(home)
    identity = Identity.load_or_create(home / NODE)
    known = _known_name(home, identity.public)
    names = wishes(device_name, known, machine_name(), identity.public)
    try:
        application = Application(
            invitation=invitation_name(verifier(invitation.secret)),
            nonce=bytes(admission.NONCE_SIZE),
            owner=from_text(ownership.owner_key),
            owner_name=check_name(person.name),
            device_name=check_name(next(names)),
            certificate=from_text(ownership.certificate),
        )
    except ProtocolError as error:
        raise BadInput(str(error)) from error
    pinned = frozenset(contact.public for contact in invitation.contacts)
    settings = NodeSettings(listen=(_outward(invitation.contacts), 0), admit=pinned.__contains__)
    async with Node(settings, identity, OpenRules()) as node:
        while True:
            try:
                listed = await _first_answer(node, invitation, application)
            except NameTaken:
                name = next(names, None)
                if name is None:
                    raise
                application = replace(application, device_name=name)
            else:
                return _keep(home, invitation, identity, listed)


async def _first_answer(
    node: Node, invitation: Invitation, application: Application
) -> list[Record]:
    silent: NetworkError | None = None
    for contact in invitation.contacts:
        try:
            return await _ask(node, contact, invitation, application)
        except NetworkError as error:
            if not isinstance(silent, WrongClock):
                silent = error
    if isinstance(silent, WrongClock):
        raise silent
    raise NetworkError(
        "no device of the invitation answers",
        where=", ".join(f"{c.host}:{c.port}" for c in invitation.contacts),
        cure="is `pockethive node` running where the invitation was made, and reachable from here?",
    ) from silent


async def _ask(
    node: Node, contact: Contact, invitation: Invitation, application: Application
) -> list[Record]:
    """The records of the list, once this device is on it."""
    hive = invitation.charter.id
    nonce = await _question(node, contact, AskNonce(hive).encode(), "nonce")
    key = verifier(invitation.secret)
    fresh = replace(application, nonce=nonce)
    proven = fresh.proven(key, hive, contact.public, node.identity.public)
    try:
        told = await _question(node, contact, proven.encode(), "news")
    except NameTaken as error:
        raise NameTaken(
            f"another device of the hive {invitation.charter.name!r} is called "
            f"{application.device_name!r}",
            cure="choose another: --name NAME; capitals make no difference",
        ) from error
    news = News.decode(told)
    return [
        Record.decode(await node.request(contact, PAGE_METHOD, encode({"v": 1, "page": number})))
        for number in range(news.pages)
    ]


async def _question(node: Node, contact: Contact, body: bytes, field: str) -> bytes:
    try:
        refused, found = admission.read_answer(await node.request(contact, METHOD, body), field)
    except ProtocolError as error:
        raise BadInvitation(
            "the device at this address is of no private hive, or of another version",
            where=f"{contact.host}:{contact.port}",
            cure=_CURE,
        ) from error
    if refused in _INVITATION:
        raise BadInvitation(admission.REFUSALS[refused], cure=_CURE)
    if refused == admission.TAKEN:
        raise NameTaken(admission.REFUSALS[refused])
    if refused:
        raise Failure(admission.REFUSALS[refused], where=f"{contact.host}:{contact.port}")
    return found


def _keep(home: Path, invitation: Invitation, identity: Identity, records: list[Record]) -> Joined:
    """Write down what the home belongs to now."""
    charter = invitation.charter
    listed: MemberList | None = newest(charter, records)
    own_entry = None if listed is None else listed.of(identity.public)
    if listed is None or own_entry is None:
        raise Failure("the hive's member list did not arrive whole", cure="join again")
    key = open_key(identity, own_entry.sealed, charter.id, listed.generation)
    store = HiveStore(home / FILE)
    try:
        with store.changing():
            store.belong(charter)
            store.keep(records)
            store.keep_key(listed.generation, key)
    finally:
        store.close()
    PeerFile(home / PEERS, charter.network).remember(invitation.contacts)
    return Joined(charter.name, own_entry.device_name, len(listed.members))


def _outward(contacts: Iterable[Contact]) -> str:
    """Where to listen so that the contacts can answer: loopback if they are all on this machine."""
    hosts = [contact.host for contact in contacts]
    inside = all(host.startswith(_LOOPBACK) for host in hosts)
    if all(":" in host for host in hosts):
        return "::1" if inside else "::"
    return "127.0.0.1" if inside else "0.0.0.0"  # noqa: S104 - for the seconds of one question
