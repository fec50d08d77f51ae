"""A device's side of its private hive: who may speak, who is let in, and how news of it travels.

    join       anyone may ask: a newcomer with an invitation, a device that says who it is
    hive       news between members: the version of the list, vouchers for devices of their homes
    hive-page  the records of the list, one at a time

A founder's device that makes a newer list tells everybody it knows at once; whoever hears of one
fetches it from the teller and tells a few more; the DHT keeps it for those who were away. Guards:
only complete lists with the hive's signature are taken, never an older one; only what is new is
told on, so that news dies out. Runs on the node's loop.
"""

import asyncio
import hmac
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any, Final, TypeVar

from pockethive.core.canonical import decode_object, digest, encode
from pockethive.core.errors import (
    BadEncoding,
    BadInvitation,
    Failure,
    NetworkError,
    PocketHiveError,
    ProtocolError,
)
from pockethive.dht import admission
from pockethive.dht.admission import METHOD, NEWS_METHOD, Application, AskNonce, Introduction
from pockethive.dht.contact import Contact
from pockethive.dht.hive_key import HiveKeys, open_key
from pockethive.dht.identity import Identity
from pockethive.dht.member_list import MAX_SLOTS, MemberList
from pockethive.dht.membership import Membership, News, Voucher, vouch
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.record import Record
from pockethive.founding import Founder
from pockethive.hive_store import HiveStore

_log = logging.getLogger(__name__)

T = TypeVar("T")

PAGE_METHOD: Final = "hive-page"
LOOK_SECONDS: Final = 1.0  # between looks at the home's file, which other processes change
ASK_SECONDS: Final = 20.0  # between questions to a member what is new
READ_SECONDS: Final = 300.0  # between readings of the list in the DHT
TELL_SECONDS: Final = 1.0  # what an introduction waits for others to hear of it
FANOUT: Final = 4  # whom a device tells that heard of a newer list itself
NONCE_SECONDS: Final = 60
_MAX_TOLD_AT_ONCE: Final = 64
_MAX_PAGE_REQUEST: Final = 200


class PrivateHive:
    """The hive of a home, for one of its devices. `sponsor` is the home's listed device.

    Raises (on construction):
        Failure: the home belongs to no hive.
    """

    def __init__(
        self, store: HiveStore, sponsor: Identity, identity: Identity, founder: Founder | None
    ) -> None:
        charter = store.charter
        if charter is None:
            raise Failure("this home belongs to no hive", cure="pockethive join LINK")
        self.charter, self._store, self._sponsor = charter, store, sponsor
        self._identity, self._founder = identity, founder
        self.membership = Membership(charter, store.newest())
        self.keys = HiveKeys(store.keys())
        self._own: tuple[Voucher, ...] = ()
        if identity.public != sponsor.public:
            self._own = (vouch(sponsor, identity.public, charter.id),)
            self.membership.believe(self._own[0])
        self._node: Node | None = None
        self._changed: Callable[[], None] = lambda: None
        self._known: Callable[[], Iterable[Contact]] = list
        self._introduced: set[Contact] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._nonce_key = b""
        self._refused = False  # by a member, since the start: said once
        self._visiting = False  # a device that introduced itself is being asked for its list
        if self.membership.list is not None:
            self._learn_key(self.membership.list)  # a crash may have come between list and key

    @property
    def network(self) -> str:
        """The hive's name on the wire."""
        return self.charter.network

    def settings(self, node: NodeSettings) -> NodeSettings:
        """The node's settings with this hive's doors. The random key of nonces comes from them."""
        self._nonce_key = node.randbytes(32)
        return replace(node, admit=self.membership.is_member, open_methods=frozenset((METHOD,)))

    def serve(
        self, node: Node, changed: Callable[[], None], known: Callable[[], Iterable[Contact]] = list
    ) -> None:
        """Answer others on a node; `changed` is called when the members are others.

        `known` are devices to tell of a new list beside those in the routing table.
        """
        self._node, self._changed, self._known = node, changed, known
        node.serve(METHOD, self._asked)
        node.serve(NEWS_METHOD, self._told)
        node.serve(PAGE_METHOD, self._page)

    async def introduce(self, contacts: Iterable[Contact]) -> None:
        """Say to devices who this one is, and learn what they know. Silence is not judged here.

        Returns when one of them has welcomed this device; the others are not waited for.

        Raises:
            Failure: all that answered refuse this device.
        """
        waiting = {self._spawn(self._introduce(contact)) for contact in contacts}
        reasons: list[str | None] = []
        while waiting and "" not in reasons:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            reasons += [asked.result() for asked in done]
        refusals = [reason for reason in reasons if reason]
        if refusals and "" not in reasons:
            raise Failure(
                admission.REFUSALS[refusals[0]],
                where=f"hive {self.charter.name!r}",
                cure="ask for a new invitation, then: pockethive join LINK",
            )

    async def start(self) -> None:
        """Read the list in the DHT, tell the members known, and stay informed until `stop`."""
        await self._read_list()
        self._spawn(self._stay_informed())
        self._spawn(self._publish(renewed=True))

    async def stop(self) -> None:
        """Stop telling and asking."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # what others ask

    async def _asked(self, peer: bytes, body: bytes) -> bytes:
        asked = admission.read_asked(body)
        if isinstance(asked, Application):
            return self._admit(peer, asked)
        if asked.hive != self.charter.id:
            return admission.refusal(admission.FOREIGN)
        if isinstance(asked, AskNonce):
            if self._founder is None:
                return admission.refusal(admission.CLOSED)
            return admission.answer(nonce=self._nonce(peer, 0))
        return await self._meet(peer, asked)

    def _admit(self, peer: bytes, asked: Application) -> bytes:
        if self._founder is None:
            return admission.refusal(admission.CLOSED)
        if asked.nonce not in (self._nonce(peer, 0), self._nonce(peer, 1)):
            return admission.refusal(admission.FORGED)
        refused = self._founder.admit(self._identity.public, peer, asked)
        if refused:
            level = logging.INFO if refused == admission.TAKEN else logging.WARNING  # it asks anew
            _log.log(level, "a device was not let in: %s", admission.REFUSALS[refused])
            return admission.refusal(refused)
        self._look()
        return admission.answer(news=self._news().encode())

    async def _meet(self, peer: bytes, asked: Introduction) -> bytes:
        self._look()
        fresh = await self._visited(_at(peer, asked.contact), asked.news)
        if not self.membership.is_member(peer):
            return admission.refusal(admission.NO_MEMBER)
        if fresh:
            told = replace(self._news(), vouchers=fresh)
            telling = self._spawn(self._tell(told, but=peer))
            await asyncio.wait({telling}, timeout=TELL_SECONDS)
        return admission.answer(news=self._news().encode())

    async def _visited(self, peer: Contact | bytes, news: News) -> tuple[Voucher, ...]:
        """Take what is new from somebody who need not be a member, one at a time.

        Where it says it is has not been proved: only one address can be asked in vain at once.
        """
        if self._visiting:
            return await self._hear(peer, replace(news, version=0))
        self._visiting = True
        try:
            return await self._hear(peer, news)
        finally:
            self._visiting = False

    async def _told(self, peer: bytes, body: bytes) -> bytes:
        await self._hear(peer, News.decode(body))
        return self._news().encode()

    def _page(self, _peer: bytes, body: bytes) -> bytes:
        value = decode_object(body, _MAX_PAGE_REQUEST)
        number = value.get("page")
        records = self._store.records()
        if value.get("v") != 1 or type(number) is not int or not 0 <= number < len(records):
            raise BadEncoding("no such page of the member list", where="shape")
        return records[number].encode()

    # what is heard

    async def _hear(self, peer: Contact | bytes, news: News) -> tuple[Voucher, ...]:
        """Take what is new; the vouchers that were."""
        if news.version > self.membership.version:
            try:
                self._take(await self._fetch(peer, news.pages))
            except (NetworkError, ProtocolError) as error:
                _log.info("a newer member list could not be fetched: %s", error)
        fresh = tuple(one for one in news.vouchers if self.membership.believe(one))
        if fresh:
            self._changed()
        return fresh

    async def _fetch(self, peer: Contact | bytes, pages: int) -> list[Record]:
        """The records of a peer's list; the head first, which shows that somebody is there."""
        head = await self._running.request(peer, PAGE_METHOD, _page_request(0))
        rest = [
            self._running.request(peer, PAGE_METHOD, _page_request(number))
            for number in range(1, min(pages, MAX_SLOTS))
        ]
        return [Record.decode(data) for data in (head, *await asyncio.gather(*rest))]

    async def _read_list(self) -> None:
        """What the DHT keeps of the list. Raises nothing that a peer caused."""
        found = await self._running.get(self.charter.list_key)
        self._take(list(found))

    def _take(self, records: list[Record]) -> None:
        """Keep a list that is newer; everybody known is told of it."""
        if self._store.keep(records) is not None:
            self._look()

    def _look(self) -> None:
        """Use what the home's file says, whoever of its devices wrote it."""
        known = self.membership.list
        if known is not None and self._store.rank == known.rank:
            return
        found = self._store.newest()
        if found is None or not self.membership.take(found):
            return
        self._learn_key(found)
        for contact in self._running.contacts():
            if not self.membership.is_member(contact.public):
                self._running.forget(contact.public)
        self._introduced = {c for c in self._introduced if self.membership.is_member(c.public)}
        self._changed()
        most = None if self._founder is not None else FANOUT
        self._spawn(self._tell(self._news(), most=most))
        self._spawn(self._publish())

    def _learn_key(self, found: MemberList) -> None:
        """The generation's key, from the file or from what is sealed to the home's device."""
        for generation, key in self._store.keys().items():
            if not self.keys.knows(generation):
                self.keys.add(generation, key)
        own = found.of(self._sponsor.public)
        if own is None:
            _log.warning("this device is not on the member list of %s any more", self.charter.name)
        elif not self.keys.knows(found.generation):
            try:
                key = open_key(self._sponsor, own.sealed, self.charter.id, found.generation)
            except ProtocolError as error:
                _log.error("the hive's key cannot be opened: %s", error)
                return
            self._store.keep_key(found.generation, key)
            self.keys.add(found.generation, key)

    # what others are told

    async def _introduce(self, contact: Contact) -> str | None:
        """Why the device refuses, nothing if it does not, None when it is silent."""
        news = replace(self._news(), vouchers=self._own)
        asked = Introduction(self.charter.id, news, str(self._running.contact))
        try:
            answer = await self._running.request(contact, METHOD, asked.encode())
            refused, told = admission.read_answer(answer, "news")
            if not refused:
                self._introduced.add(contact)
                await self._hear(contact, News.decode(told))
            return refused
        except NetworkError:
            return None
        except ProtocolError as error:
            _log.info("an introduction was not understood: %s", error)
            return admission.FOREIGN

    async def _stay_informed(self) -> None:
        loop = asyncio.get_running_loop()
        asked = read = loop.time()
        turn = 0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                self._look()
                await self._meet_strangers()
                contacts = self._running.contacts()
                if loop.time() - asked >= ASK_SECONDS and contacts:
                    asked, turn = loop.time(), turn + 1
                    await self._send(contacts[turn % len(contacts)], self._news())
                if loop.time() - read >= READ_SECONDS:
                    read = loop.time()
                    await self._read_list()
                    await self._publish(renewed=True)
            except PocketHiveError as error:
                _log.warning("the hive's news could not be read: %s", error)

    async def _meet_strangers(self) -> None:
        """A device that is not listed shows its voucher to those it has not met yet."""
        if self._own:
            known = {contact.public for contact in self._introduced}
            new = [c for c in self._running.contacts() if c.public not in known]
            await asyncio.gather(*(self._introduce(contact) for contact in new))

    async def _tell(self, news: News, but: bytes = b"", most: int | None = None) -> None:
        """Tell everybody known, or some whom chance picks."""
        chance = self._identity.public + self._running.settings.randbytes(8)
        apart = {but, self._identity.public}
        known = {c.public: c for c in (*self._known(), *self._running.contacts())}
        contacts = sorted(
            (c for c in known.values() if c.public not in apart and self._is_member(c)),
            key=lambda contact: digest("news", chance, contact.public),
        )[:most]
        for at in range(0, len(contacts), _MAX_TOLD_AT_ONCE):
            batch = contacts[at : at + _MAX_TOLD_AT_ONCE]
            await asyncio.gather(*(self._send(contact, news) for contact in batch))

    def _is_member(self, contact: Contact) -> bool:
        return self.membership.is_member(contact.public)

    async def _send(self, contact: Contact, news: News) -> None:
        try:
            answer = await self._running.request(contact, NEWS_METHOD, news.encode())
            await self._hear(contact, News.decode(answer))
        except NetworkError as error:
            _log.debug("no exchange of news: %s", error)
        except ProtocolError as error:
            _log.debug("no exchange of news: %s", error)
            if await self._introduce(contact) == admission.NO_MEMBER and not self._refused:
                self._refused = True
                _log.warning("%s (%s)", admission.REFUSALS[admission.NO_MEMBER], self.charter.name)

    async def _publish(self, *, renewed: bool = False) -> None:
        """Store the list in the DHT; a founder signs it anew when it grows old."""
        if self._founder is None:
            return
        if renewed:
            self._founder.renew()
        try:
            for record in self._store.records():
                await self._running.put(record)
        except PocketHiveError as error:
            _log.warning("the member list was not stored in the DHT: %s", error)

    def _news(self) -> News:
        known = self.membership.list
        pages = 0 if known is None else len(known.bodies)
        vouchers = dict.fromkeys((*self.membership.vouchers(), *self._own))
        return News(self.membership.version, pages, tuple(vouchers))

    def _nonce(self, peer: bytes, ago: int) -> bytes:
        """Of one peer and one minute: nothing has to be remembered between its two requests."""
        minute = int(self._running.settings.clock()) // NONCE_SECONDS - ago
        return hmac.digest(self._nonce_key, digest("join nonce", peer, b"%d" % minute), "sha256")

    @property
    def _running(self) -> Node:
        assert self._node is not None, "serve() comes first"
        return self._node

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work, name="hive")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _page_request(number: int) -> bytes:
    return encode({"v": 1, "page": number})


def _at(peer: bytes, said: str) -> Contact | bytes:
    """Where a device that introduces itself says it is: believed for its own key only."""
    try:
        contact = Contact.parse(said)
    except BadInvitation:
        return peer
    return contact if contact.public == peer else peer
