"""Between the core's entries and the DHT's records: signing on the way out, opening on the way in.

Rule guarded here: nothing becomes an `Entry` unless its signature verified and its body decoded. In
a private hive bodies are encrypted on the way out and only encrypted ones are opened.
"""

from collections.abc import Callable, Sequence

from pockethive.actors.acquainted import UNSEEN
from pockethive.core.canonical import digest, from_text, to_text
from pockethive.core.entry import Body, Entry, Kind, Member, Notice
from pockethive.core.entry_codec import decode_body, encode_body, kind_of, slot
from pockethive.core.errors import BadEncoding, BadSignature
from pockethive.core.lease_codec import MARK
from pockethive.core.notice import shard_of
from pockethive.core.people import is_certified
from pockethive.core.task import DeviceId, Task, task_key
from pockethive.dht.hive_key import HiveKeys
from pockethive.dht.identity import Identity, certified, verify
from pockethive.dht.memory import Memory
from pockethive.dht.record import Draft, Record, sign_batch, sign_record

Opening = Callable[[bytes], bytes]
"""`(signed record) -> the key of its encrypted body`; empty where the body is in clear."""

_KEPT = frozenset((Kind.TASK, Kind.OUTPUT, Kind.VERDICT, Kind.COMMIT))
_NAMED = 2_000  # by digest: what other devices name instead of showing it again
_REMEMBERED = 500  # some 10 kB each; a signature seen before is cheap to verify again


def _unseen(record: Record) -> None:
    """Nobody keeps what is shown."""


def hive_key(hive: str) -> bytes:
    """The DHT key under which the devices of a hive advertise themselves, 20 bytes."""
    return digest("hive key", hive.encode())[:20]


def shard_key(hive: str, shard: int) -> bytes:
    """The DHT key of a shard of the hive's bulletin, 20 bytes."""
    return digest("bulletin", hive.encode(), b"%d" % shard)[:20]


class Entries:
    """Signs the entries of this `device` and opens everybody's. Safe on any thread.

    Entries are remembered by their wire (bounded): the same one is shown to the store, the witness
    and several machines, and what this device has signed needs no opening.
    """

    def __init__(self, identity: Identity, hive: str, keys: HiveKeys | None = None) -> None:
        self._identity, self._keys = identity, keys
        self._hive, self.hive_key = hive, hive_key(hive)
        self._opened: Memory[Entry] = Memory(_REMEMBERED)
        self._named: Memory[Entry] = Memory(_NAMED)
        self.shown: Callable[[Record], None] = _unseen  # told of what others' letters show first
        self.device = DeviceId(to_text(identity.public))

    def sign(self, kind: Kind, body: Body, expires: int) -> tuple[Record, Entry]:
        """A record of this device and the entry that it is."""
        draft = self._draft(body, expires)
        record = sign_record(self._identity, kind.value, draft.key, draft.slot, expires, draft.body)
        entry = _entry(record, body, self.device)
        self._remember(entry)
        return record, entry

    def sign_all(self, said: Sequence[tuple[Body, int]]) -> list[tuple[Record, Entry]]:
        """Records of this device, signed in batches, and the entries that they are.

        `said`: each body, and until when it is kept (unix seconds).
        """
        records = sign_batch(self._identity, [self._draft(*each) for each in said])
        signed = []
        for record, (body, _) in zip(records, said, strict=True):
            entry = _entry(record, body, self.device)
            self._remember(entry)
            signed.append((record, entry))
        return signed

    def _remember(self, entry: Entry) -> None:
        self._opened.put(entry.wire, entry)
        self._named.put(bytes.fromhex(entry.digest), entry)

    def tombstone(self, kind: Kind, body: Body, expires: int) -> Record:
        """What takes an entry of this device back, of a kind that can be."""
        return sign_record(self._identity, kind.value, self.key_of(body), slot(body), expires, b"")

    def open(self, wire: bytes) -> Entry:
        """The entry behind a record as it travels, or behind the name of one that was seen.

        Raises:
            BadEncoding: a name that is not known here, not a record, or a body of another kind,
                version or size.
            BadSignature: the record's or the member certificate's signature does not verify.
        """
        known = self._opened.get(wire)
        if known is not None:
            return known
        if wire.startswith(MARK):
            named = self._named.get(wire[len(MARK) :])
            if named is None:
                raise BadEncoding(UNSEEN)
            return named
        record = Record.decode(wire)
        record.verify()
        entry = self.opened(record)
        if entry.kind in _KEPT:
            self.shown(record)
        return entry

    def opened(self, record: Record) -> Entry:
        """The entry of a record whose signature the DHT has verified.

        Raises:
            BadEncoding: the body does not decode, or stands under a foreign key or slot.
            BadSignature: a member's certificate is not its owner's.
        """
        known = self._opened.get(record.encode())
        if known is not None:
            return known
        entry = entry_of(record, self.plain(record), self.key_of)
        if record.verified:  # `open` believes what is remembered
            self._remember(entry)
        return entry

    def plain(self, record: Record) -> bytes:
        """A record's body in clear.

        Raises:
            BadEncoding: of a private hive and not encrypted, or under a key that is not known here.
            BadSignature: it does not open.
        """
        if self._keys is None:
            return record.body
        return self._keys.open(body_context(record), record.body)

    def opening(self, wire: bytes) -> bytes:
        """The key that opens the body of one record and of no other; empty where it is in clear.

        Raises BadEncoding: see `plain`.
        """
        return b"" if self._keys is None else self._keys.body_key(Record.decode(wire).body)

    def _draft(self, body: Body, expires: int) -> Draft:
        kind, key, place, data = (
            kind_of(body).value,
            self.key_of(body),
            slot(body),
            encode_body(body),
        )
        if self._keys is not None:
            data = self._keys.seal(_context(kind, key, self._identity.public, place), data)
        return Draft(kind, key, place, expires, data)

    def shard_key(self, shard: int) -> bytes:
        """Where the notices of a shard of this hive's bulletin stand, 20 bytes."""
        return shard_key(self._hive, shard)

    def key_of(self, body: Body) -> bytes:
        """The DHT key an entry belongs under, 20 bytes."""
        if isinstance(body, Member):
            return self.hive_key
        if isinstance(body, Notice):
            return self.shard_key(shard_of(body.key))
        return _key_of(body)


def _key_of(body: Body) -> bytes:
    if isinstance(body, Member | Notice):
        raise BadEncoding("an entry about no task, where no hive is known")
    return body.key if isinstance(body, Task) else task_key(body.task)


def entry_of(record: Record, plain: bytes, key_of: Callable[[Body], bytes] = _key_of) -> Entry:
    """The entry of a record whose signature was checked, and whose body in clear is `plain`.

    `key_of` tells where a body belongs; without a hive's, only entries about tasks are known.

    Raises:
        BadEncoding: the body does not decode, or stands under a foreign key or slot.
        BadSignature: a task or member signed by another than it names.
    """
    try:
        kind = Kind(record.kind)
    except ValueError as error:
        raise BadEncoding(f"no such kind of entry: {record.kind!r}") from error
    body = decode_body(kind, plain)
    if record.key != key_of(body) or record.slot != slot(body):
        raise BadEncoding(f"a {kind.value} entry under a key or slot that is not its own")
    entry = _entry(record, body, DeviceId(to_text(record.author)))
    _check_author(entry)
    return entry


def body_context(record: Record) -> bytes:
    """What a record's encrypted body is bound to."""
    return _context(record.kind, record.key, *record.place[1:])


def _context(kind: str, key: bytes, author: bytes, place: bytes) -> bytes:
    """What an encrypted body is bound to, so that it cannot be shown anywhere else."""
    return digest("body context", kind.encode(), key, author, place)


def _entry(record: Record, body: Body, author: DeviceId) -> Entry:
    return Entry(
        kind=kind_of(body),
        author=author,
        expires=record.expires,
        body=body,
        digest=record.digest.hex(),
        wire=record.encode(),
    )


def _is_owners(task: Task) -> bool:
    """Whether the certificate that a task shows, if it does, is one of its owner for its device."""
    shown = task.certificate
    return not shown or is_certified(task.owner_key, task.owner, shown, verify)


def _check_author(entry: Entry) -> None:
    body = entry.body
    if isinstance(body, Task) and body.owner != entry.author:
        raise BadSignature("a task signed by another device than the one it names as its owner's")
    if isinstance(body, Task) and not _is_owners(body):
        raise BadSignature("the owner whom a task names did not certify its device")
    if isinstance(body, Notice) and body.owner != entry.author:
        raise BadSignature("a notice signed by another device than the one to be asked")
    if isinstance(body, Member):
        if body.device != entry.author:
            raise BadSignature("a member entry signed by another device than it describes")
        owner, device = from_text(body.owner_key, 32), from_text(body.device, 32)
        if not certified(owner, device, from_text(body.certificate, 64)):
            raise BadSignature("the member's owner did not certify this device")
