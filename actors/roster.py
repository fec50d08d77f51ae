"""The roster: which devices of the hive this one knows, and telling them of itself.

A device advertises itself under the hive's DHT key and greets the devices it meets directly, once,
so that a new device is known within one round trip. Afterwards it is quiet: each pulse it looks
after one member, and it renews its advertisement twice in a lifetime; before a run everybody not
heard of lately is asked. Who does not answer, and never spoke to this device or missed twice in a
row, is no member until it speaks or advertises anew: advertisements outlive their devices, and a
run that picked the dead as witnesses would never end. Runs on the node's loop.
"""

import asyncio
import logging
from collections.abc import Callable

from pockethive.actors.alive import PING_METHOD
from pockethive.actors.egress import Egress
from pockethive.actors.entries import Entries
from pockethive.actors.greeting import answer, contact_of, named
from pockethive.actors.tidings import Tidings
from pockethive.core.canonical import from_text, to_text
from pockethive.core.entry import Entry, Kind, Member
from pockethive.core.errors import Failure, NetworkError, PocketHiveError, ProtocolError
from pockethive.core.task import DeviceId
from pockethive.dht.contact import Contact
from pockethive.dht.methods import DIGEST_SIZE
from pockethive.dht.node import Node
from pockethive.dht.record import Record

_log = logging.getLogger(__name__)

METHOD = "hello"
FAREWELL = "bye"
TTL_SECONDS = 3600
PULSE_SECONDS = 60.0
SETTLING_SECONDS = 30.0  # the DHT is read again after so long, then ever more rarely
START_SECONDS = 0.5
FRESH_SECONDS = 60.0  # who was heard of so lately needs no question
ANSWER_SECONDS = 1.0
FAREWELL_SECONDS = 0.5
MAX_MEMBERS = 512
MAX_GUESTS = 64  # more members: who came for work that nobody known took, and its owners
MAX_TTL_SECONDS = TTL_SECONDS + 60  # clocks differ; who claims to stay longer is not believed
SILENT_GREETINGS = 2  # of a device that has spoken to this one before
_AT_ONCE = 64  # devices told or asked in one pulse
_READ_AT_ONCE = 64  # members learned with one reading, but before a run: then all there is room for


class Roster:
    """Members by device. `changed` is called on the loop whenever the set of them is another.

    A private hive sets `belongs`: whether a key is a member's; others are not met. `spoke` is
    called on the loop whenever a device has spoken to this one.
    """

    def __init__(
        self,
        node: Node,
        egress: Egress,
        entries: Entries,
        clock: Callable[[], float],
        changed: Callable[[tuple[Member, ...]], None],
    ) -> None:
        self._node, self._egress = node, egress
        self._entries, self._clock = entries, clock
        self._key = entries.hive_key
        self._tidings = Tidings(lambda: changed(self.members))
        self.belongs: Callable[[bytes], bool] | None = None
        self.spoke: Callable[[], None] | None = None
        self.capacity = MAX_MEMBERS
        self._known: dict[DeviceId, Entry] = {}
        self._silent: dict[DeviceId, int] = {}  # greetings in a row without an answer
        self._gone: dict[DeviceId, Entry] = {}  # advertisements that nobody stood behind
        self._told: set[bytes] = set()  # keys of those who know what this device is now
        self._heard: dict[DeviceId, float] = {}
        self._own: Member | None = None
        self._advert: tuple[Record, Entry] | None = None
        self._task: asyncio.Task[None] | None = None
        self._greetings: set[asyncio.Task[None]] = set()
        self._more = False  # the DHT named more members than were read
        self._step, self._due = SETTLING_SECONDS, 0.0  # between two readings; when the next is
        egress.answer(METHOD, self._greeted)
        egress.answer(FAREWELL, self._left)

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

    def has_spoken(self, device: DeviceId) -> bool:
        """Whether it is a member, and by more than hearsay: it spoke to this device. Any thread."""
        return device in self._heard and device in self._known

    def contact(self, device: DeviceId) -> Contact | None:
        """Where a device can be asked; None for one that has not introduced itself."""
        member = self.member(device)
        return None if member is None else contact_of(member)

    def contacts(self) -> tuple[Contact, ...]:
        """Where the other members can be asked."""
        own = self._entries.device
        return tuple(contact_of(member) for member in self.members if member.device != own)

    def describe(self, own: Member) -> Record:
        """Sign what this device is from now on, for those who greet it; nobody is told."""
        if own != self._own:
            self._told.clear()
        record, entry = self._entries.sign(Kind.MEMBER, own, int(self._clock()) + TTL_SECONDS)
        self._own, self._advert = own, (record, entry)
        self._meet(entry)
        return record

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
        self._tidings.stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None

    async def advertise(self, own: Member, wait: float | None = None) -> None:
        """Say what this device is now: stored in the DHT, and told to those who do not know it.

        In a large hive only some are told at once, the others pulse by pulse. Returns when those
        have answered or been given up, or after `wait` seconds; greetings still open then go on.
        """
        record = self.describe(own)
        await self._egress.publish(record)
        await self._tell(record, wait, _AT_ONCE)
        self._drop_expired()

    async def retire(self, own: Member, wait: float) -> None:
        """As `advertise`, with the devices told first: `own` has little time left."""
        record = self.describe(own)
        await self._tell(record, wait, self.capacity + MAX_GUESTS)
        await self._egress.publish(record)

    async def check(self) -> None:
        """Before a run: ask every member not heard of lately whether it is there; drop the silent.

        Takes no time when all were heard of, and two seconds at most. In a hive of more members
        than were read, those there is room for are read first. The change is told by then.
        """
        if self._more and len(self._known) < self.capacity:
            await self.read(self.capacity)
        limit = self._clock() - FRESH_SECONDS
        stale = [m for m in self._others() if self._heard.get(m.device, 0.0) < limit]
        await asyncio.gather(*(self._ask_twice(member) for member in stale))
        self._tidings.flush()

    async def farewell(self) -> None:
        """Tell the members that this device leaves. Nothing is sent again, nobody is waited for."""
        asked = [self._say_bye(contact_of(member)) for member in self._others()[:_AT_ONCE]]
        await asyncio.gather(*asked)

    @property
    def advert(self) -> Entry | None:
        """How this device advertises itself now."""
        return None if self._advert is None else self._advert[1]

    def welcome(self, entry: Entry) -> None:
        """Meet a device that introduced itself for work, also when the roster is full."""
        self._meet(entry, self.capacity + MAX_GUESTS)

    async def introduce(self, device: DeviceId) -> None:
        """Greet a device that is not known here, and meet it. Raises PocketHiveError."""
        if device in self._known or self._advert is None:
            return
        peer, greeting = from_text(device, 32), self._advert[0].encode()
        said = await self._egress.tell(peer, METHOD, greeting)
        for entry in named(said, self._entries.open):
            if entry.author == device:
                self.welcome(entry)

    def look_again(self) -> None:
        """The hive's list is another: part with those that are no members any more."""
        gone = [device for device in self._known if not self._may_be_here(device)]
        for device in gone:
            self._lose(device)
            self._gone.pop(device, None)

    async def read(self, most: int = _READ_AT_ONCE) -> None:
        """Learn members that the DHT knows: at most so many of those that are not known here."""
        known = [bytes.fromhex(entry.digest)[:DIGEST_SIZE] for entry in self._known.values()]
        found, self._more = await self._node.get_some(self._key, most, known)
        for record in found:
            self._meet_record(record)

    async def _tell(self, record: Record, wait: float | None, most: int) -> None:
        """Greet those who do not know this device as it is; wait for them, at most `wait`."""
        greetings = [self._begin_greeting(contact, record) for contact in self._untold()[:most]]
        if greetings:
            await asyncio.wait(greetings, timeout=wait)

    async def _keep_fresh(self) -> None:
        self._due = self._clock() + self._step
        while True:
            await asyncio.sleep(min(PULSE_SECONDS, self._step))
            try:
                if self._clock() >= self._due:
                    self._step = min(4 * self._step, self._half_life())
                    self._due = self._clock() + self._step
                    await self._renew()
                    await self.read()
                await self._pulse()
            except PocketHiveError as error:
                _log.warning("the roster could not be refreshed: %s", error)

    def _half_life(self) -> float:
        """Seconds between two advertisements; of each device a little different, not by chance."""
        return TTL_SECONDS / 2 * (0.8 + 0.2 * from_text(self._entries.device, 32)[0] / 255)

    async def _renew(self) -> None:
        """Advertise again when half of the advertisement's life is over."""
        own, advert = self._own, self._advert
        late = TTL_SECONDS - self._half_life() + PULSE_SECONDS
        if own is not None and advert is not None and advert[1].expires - self._clock() <= late:
            await self.advertise(own)

    async def _pulse(self) -> None:
        """Tell those who do not know this device, ask who was silent, one member and one lost."""
        self._drop_expired()
        if self._advert is not None:
            for contact in self._untold()[:_AT_ONCE]:
                self._begin_greeting(contact, self._advert[0])
        others = sorted(self._others(), key=lambda m: self._heard.get(m.device, 0.0))
        silent = [member for member in others if self._silent.get(member.device)]
        await asyncio.gather(*(self._ask(member) for member in [*silent, *others[:1]][:_AT_ONCE]))
        if self._gone:
            device, entry = next(iter(self._gone.items()))
            self._gone[device] = self._gone.pop(device)  # the next one next time
            await self._greet_lost(entry)

    async def _ask(self, member: Member) -> bool:
        """Is it there? One whose advertisement ends soon is greeted and tells its newest."""
        entry = self._known.get(member.device)
        soon = entry is not None and entry.expires - self._clock() < TTL_SECONDS / 4
        try:
            if soon and self._advert is not None:
                await self._greet(contact_of(member), self._advert[0])
                return member.device in self._known
            await self._egress.tell(contact_of(member), PING_METHOD, b"", timeout=ANSWER_SECONDS)
        except NetworkError:
            self._missed(member.device)
            return False
        except ProtocolError as error:
            _log.debug("a strange answer: %s", error)
        self._hear(member.device)
        return True

    async def _ask_twice(self, member: Member) -> None:
        if not await self._ask(member) and member.device in self._known:
            await self._ask(member)

    async def _greet_lost(self, entry: Entry) -> None:
        """Somebody who did not answer may be back, or the network whole again."""
        assert isinstance(entry.body, Member)
        contact = contact_of(entry.body)
        try:
            await self._egress.tell(contact, PING_METHOD, b"", timeout=ANSWER_SECONDS)
        except PocketHiveError:
            return
        self._gone.pop(entry.author, None)
        self._hear(entry.author)
        self._meet(entry)
        if self._advert is not None:
            self._begin_greeting(contact, self._advert[0])

    async def _say_bye(self, contact: Contact) -> None:
        try:
            await self._egress.tell(contact, FAREWELL, b"", timeout=FAREWELL_SECONDS)
        except PocketHiveError as error:
            _log.debug("a farewell was not heard: %s", error)

    async def _left(self, peer: bytes, _: bytes) -> bytes:
        """A device says that it leaves: no member any more."""
        self._lose(DeviceId(to_text(peer)))
        return b""

    def _others(self) -> list[Member]:
        return [member for member in self.members if member.device != self._entries.device]

    def _untold(self) -> list[Contact]:
        """Everybody known who does not know what this device is now."""
        contacts = {contact.public: contact for contact in self._node.contacts()}
        for member in self._others():
            contacts.setdefault(from_text(member.device, 32), contact_of(member))
        self._told &= contacts.keys()
        return [contact for public, contact in contacts.items() if public not in self._told]

    def _hear(self, device: DeviceId) -> None:
        self._silent[device] = 0
        self._heard[device] = self._clock()
        if self.spoke is not None:
            self.spoke()

    def _begin_greeting(self, contact: Contact, record: Record) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._greet(contact, record), name="hello")
        self._greetings.add(task)
        task.add_done_callback(self._greetings.discard)
        return task

    async def _greet(self, contact: Contact, record: Record) -> None:
        try:
            said = await self._egress.tell(contact, METHOD, record.encode())
            self._hear(DeviceId(to_text(contact.public)))
            self._told.add(contact.public)
            for entry in named(said, self._entries.open):
                self._meet(entry)
        except Failure as error:  # no answer, or it is not to be told
            _log.debug("no answer to a greeting: %s", error)
            self._missed(DeviceId(to_text(contact.public)))
        except (ProtocolError, TypeError) as error:
            self._told.add(contact.public)  # there, and nothing that greets
            _log.info("a strange answer to a greeting: %s", error)

    async def _greeted(self, peer: bytes, body: bytes) -> bytes:
        entry = self._entries.open(body)
        if entry.author != to_text(peer):
            raise ProtocolError("a greeting that describes another device")
        author, now = entry.author, self._clock()
        self._gone.pop(author, None)  # whoever speaks is here
        self._meet(entry)
        self._hear(author)
        apart, newest = (author, self._entries.device), reversed(self._known.items())
        others = (e for d, e in newest if d not in apart and e.expires > now)
        if self.advert is not None:
            self._told.add(peer)  # if it does not come there, the greeter asks again
        return answer(self.advert, others)

    def _meet_record(self, record: Record) -> None:
        if record.kind != Kind.MEMBER.value:
            return
        try:
            self._meet(self._entries.opened(record))
        except ProtocolError as error:
            _log.warning("a member entry was dropped: %s", error)

    def _may_be_here(self, device: DeviceId) -> bool:
        return self.belongs is None or self.belongs(from_text(device))

    def _missed(self, device: DeviceId) -> None:
        """A greeting was not answered: by a device that never spoke to us, or by one that did."""
        misses = self._silent.get(device, SILENT_GREETINGS - 1) + 1
        self._silent[device] = misses
        if misses < SILENT_GREETINGS:
            return
        self._lose(device)

    def _lose(self, device: DeviceId) -> None:
        self._silent.pop(device, None)
        entry = self._known.pop(device, None)
        if entry is not None:
            self._told.discard(from_text(device, 32))
            self._gone[device] = entry
            self._tidings.change()

    def _drop_expired(self) -> None:
        now = self._clock()
        expired = [device for device, entry in self._known.items() if entry.expires <= now]
        for device in expired:
            del self._known[device]
        self._gone = {d: entry for d, entry in self._gone.items() if entry.expires > now}
        self._silent = {d: n for d, n in self._silent.items() if d in self._known}
        self._heard = {d: at for d, at in self._heard.items() if d in self._known}
        if expired:
            self._tidings.change()

    def _meet(self, entry: Entry, most: int | None = None) -> None:
        now, most = self._clock(), self.capacity if most is None else most
        if entry.kind is not Kind.MEMBER or not now < entry.expires <= now + MAX_TTL_SECONDS:
            return
        gone, known = self._gone.get(entry.author), self._known.get(entry.author)
        if any(old is not None and old.expires >= entry.expires for old in (gone, known)):
            return
        if not self._may_be_here(entry.author):
            return
        if known is None and len(self._known) >= most:
            self._drop_expired()
            if len(self._known) >= most:
                return
        self._gone.pop(entry.author, None)
        self._known[entry.author] = entry
        if known is None or known.body != entry.body:
            self._tidings.change()
