"""The roster: which devices of the hive this one knows, and telling them of itself.

A device advertises itself under the hive's DHT key and greets the devices it meets directly, so
that a new device is known within one round trip. Who does not answer a greeting, and never spoke to
this device or missed two in a row, is no member until it advertises anew: advertisements outlive
their devices, and a run that picked the dead as witnesses would never end. Runs on the node's loop.
"""

import asyncio
import logging
from collections.abc import Callable

from pockethive.actors.entries import Entries, hive_key
from pockethive.core.canonical import decode_object, encode, from_text, to_text
from pockethive.core.entry import Entry, Kind, Member
from pockethive.core.errors import NetworkError, PocketHiveError, ProtocolError
from pockethive.core.task import DeviceId
from pockethive.dht.contact import Contact
from pockethive.dht.node import Node
from pockethive.dht.record import Record

_log = logging.getLogger(__name__)

METHOD = "hello"
TTL_SECONDS = 180
REFRESH_SECONDS = 30.0
START_SECONDS = 0.5
MAX_MEMBERS = 512
MAX_TTL_SECONDS = TTL_SECONDS + 60  # clocks differ; who claims to stay longer is not believed
SILENT_GREETINGS = 2  # of a device that has spoken to this one before
_MAX_GREETING = 8_000
_MAX_TOLD = 4  # members named in one answer (a message holds 8 kB); the DHT knows the rest


class Roster:
    """Members by device. `changed` is called on the loop whenever the set of them is another."""

    def __init__(
        self,
        node: Node,
        entries: Entries,
        hive: str,
        clock: Callable[[], float],
        changed: Callable[[tuple[Member, ...]], None],
    ) -> None:
        self._node, self._entries, self._clock = node, entries, clock
        self._key = hive_key(hive)
        self._changed = changed
        self._known: dict[DeviceId, Entry] = {}
        self._silent: dict[DeviceId, int] = {}  # greetings in a row without an answer
        self._gone: dict[DeviceId, int] = {}  # expiry of the advertisement that nobody stood behind
        self._own: Member | None = None
        self._task: asyncio.Task[None] | None = None
        self._greetings: set[asyncio.Task[None]] = set()
        node.serve(METHOD, self._greeted)

    @property
    def members(self) -> tuple[Member, ...]:
        """The devices whose advertisement has not expired, this one among them."""
        now = self._clock()
        bodies = (entry.body for entry in self._known.values() if entry.expires > now)
        return tuple(body for body in bodies if isinstance(body, Member))

    def member(self, device: DeviceId) -> Member | None:
        """What is known of a device."""
        entry = self._known.get(device)
        return entry.body if entry is not None and isinstance(entry.body, Member) else None

    def contact(self, device: DeviceId) -> Contact | None:
        """Where a device can be asked; None for one that has not introduced itself."""
        member = self.member(device)
        return None if member is None else _contact(member)

    async def start(self, own: Member) -> None:
        """Advertise `own`, greet everybody known, and keep both fresh until `stop`.

        Waits a moment for answers; those known from an earlier day may be gone and take longer.
        """
        await self.advertise(own, wait=START_SECONDS)
        self._task = asyncio.get_running_loop().create_task(self._keep_fresh(), name="roster")

    async def stop(self) -> None:
        """Stop refreshing."""
        tasks = [*self._greetings, *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None

    async def advertise(self, own: Member, wait: float | None = None) -> None:
        """Say what this device is now: stored in the DHT and told to everybody known.

        Returns when all have answered or been given up, or after `wait` seconds; greetings still
        open then go on.
        """
        self._own = own
        record, entry = self._entries.sign(Kind.MEMBER, own, int(self._clock()) + TTL_SECONDS)
        self._meet(entry)
        await self._node.put(record)
        contacts = {contact.public: contact for contact in self._node.contacts()}
        for member in self.members:
            if member.device != own.device:
                contact = _contact(member)
                contacts.setdefault(contact.public, contact)
        greetings = [self._begin_greeting(contact, record) for contact in contacts.values()]
        if greetings:
            await asyncio.wait(greetings, timeout=wait)
        self._drop_expired()

    async def read(self) -> None:
        """Learn the members that the DHT knows."""
        for record in await self._node.get(self._key):
            self._meet_record(record)

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                if self._own is not None:
                    await self.advertise(self._own)
                await self.read()
            except PocketHiveError as error:
                _log.warning("the roster could not be refreshed: %s", error)

    def _begin_greeting(self, contact: Contact, record: Record) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._greet(contact, record), name="hello")
        self._greetings.add(task)
        task.add_done_callback(self._greetings.discard)
        return task

    async def _greet(self, contact: Contact, record: Record) -> None:
        try:
            answer = await self._node.request(contact, METHOD, record.encode())
            self._silent[DeviceId(to_text(contact.public))] = 0
            told = decode_object(answer, _MAX_GREETING).get("members", [])
            for text in told[:_MAX_TOLD] if isinstance(told, list) else []:
                self._meet(self._entries.open(from_text(text)))
        except NetworkError as error:
            _log.debug("no answer to a greeting: %s", error)
            self._missed(DeviceId(to_text(contact.public)))
        except (ProtocolError, TypeError) as error:
            _log.warning("a strange answer to a greeting: %s", error)

    async def _greeted(self, peer: bytes, body: bytes) -> bytes:
        entry = self._entries.open(body)
        if entry.author != to_text(peer):
            raise ProtocolError("a greeting that describes another device")
        self._meet(entry)
        self._silent[entry.author] = 0
        now = self._clock()
        others = [e.wire for d, e in self._known.items() if d != entry.author and e.expires > now]
        return encode({"members": [to_text(wire) for wire in others[-_MAX_TOLD:]]})

    def _meet_record(self, record: Record) -> None:
        if record.kind != Kind.MEMBER.value:
            return
        try:
            self._meet(self._entries.opened(record))
        except ProtocolError as error:
            _log.warning("a member entry was dropped: %s", error)

    def _missed(self, device: DeviceId) -> None:
        """A greeting was not answered: by a device that never spoke to us, or by one that did."""
        misses = self._silent.get(device, SILENT_GREETINGS - 1) + 1
        self._silent[device] = misses
        if misses < SILENT_GREETINGS:
            return
        self._silent.pop(device)
        entry = self._known.pop(device, None)
        if entry is not None:
            self._gone[device] = entry.expires
            self._changed(self.members)

    def _drop_expired(self) -> None:
        now = self._clock()
        expired = [device for device, entry in self._known.items() if entry.expires <= now]
        for device in expired:
            del self._known[device]
        self._gone = {device: at for device, at in self._gone.items() if at > now}
        self._silent = {d: n for d, n in self._silent.items() if d in self._known}
        if expired:
            self._changed(self.members)

    def _meet(self, entry: Entry) -> None:
        now = self._clock()
        if entry.kind is not Kind.MEMBER or not now < entry.expires <= now + MAX_TTL_SECONDS:
            return
        if entry.expires <= self._gone.get(entry.author, 0):
            return
        known = self._known.get(entry.author)
        if known is not None and known.expires >= entry.expires:
            return
        if known is None and len(self._known) >= MAX_MEMBERS:
            self._drop_expired()
            if len(self._known) >= MAX_MEMBERS:
                return
        self._gone.pop(entry.author, None)
        self._known[entry.author] = entry
        if known is None or known.body != entry.body:
            self._changed(self.members)


def _contact(member: Member) -> Contact:
    return Contact(from_text(member.device, 32), member.host, member.port)
