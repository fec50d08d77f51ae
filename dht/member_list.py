"""Who belongs to a private hive: a list signed by the hive's key, carried by records.

    head, slot "head":       {"v", "version", "generation", "pages": [hash of each page's body]}
    pages, slots "00"–"3f":  {"v", "members": [[owner, its name, device, its name, certificate,
                              since, sealed key], …]}, at most 8 a page, in the order of devices

Both stand under `Charter.list_key`, authored by the hive's key. Guards: reading is order-free: of
any set of records the newest complete version wins, ties broken by hash, so replicas agree; a page
that no head names is nothing; every device carries its owner's certificate; a version is never
changed, a change is the next version.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from pockethive.core.canonical import decode_object, digest, encode, from_text, to_text
from pockethive.core.errors import BadEncoding, BadSignature
from pockethive.dht.charter import Charter, FounderKey
from pockethive.dht.hive_key import MAX_GENERATION, SEALED_SIZE
from pockethive.dht.identity import PUBLIC_SIZE, SIGNATURE_SIZE, certified
from pockethive.dht.record import MAX_BODY, Record, sign_record

KIND: Final = "hive-list"
PAGE: Final = 8  # members in one record
MAX_PAGES: Final = 64
MAX_MEMBERS: Final = PAGE * MAX_PAGES
MAX_NAME: Final = 32  # characters of a person's or device's name
MAX_NAME_BYTES: Final = 64
LIFE: Final = 30 * 86_400  # seconds a list's records live in the DHT; members keep it beyond that
MAX_SLOTS: Final = MAX_PAGES + 1
HEAD: Final = b"head"

_MAX_VERSION: Final = 2**48
_MAX_SINCE: Final = 2**40


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One device on the list. `since` is unix seconds; `sealed` is the generation's key for it.

    Raises (on construction):
        BadEncoding: a field of the wrong size.
        BadSignature: the owner did not certify the device.
    """

    owner: bytes
    owner_name: str
    device: bytes
    device_name: str
    certificate: bytes
    since: int
    sealed: bytes

    def __post_init__(self) -> None:
        check_name(self.owner_name)
        check_name(self.device_name)
        if type(self.since) is not int or not 0 <= self.since < _MAX_SINCE:
            raise BadEncoding("a member's date is unix seconds")
        if len(self.sealed) != SEALED_SIZE:
            raise BadEncoding("a member without the hive's key")
        if not certified(self.owner, self.device, self.certificate):
            raise BadSignature("the owner did not certify this device")


@dataclass(frozen=True)
class MemberList:
    """One version of a hive's list; `members` in the order of their device keys.

    Raises (on construction):
        BadEncoding: out of order, a device twice, too many members, a number out of range.
    """

    version: int
    generation: int
    members: tuple[Listed, ...]

    def __post_init__(self) -> None:
        _whole(self.version, _MAX_VERSION)
        _whole(self.generation, MAX_GENERATION)
        devices = [member.device for member in self.members]
        if sorted(set(devices)) != devices:
            raise BadEncoding("the members of a list are in the order of their keys, each once")
        if len(devices) > MAX_MEMBERS:
            raise BadEncoding(
                f"{len(devices)} devices on a list, at most {MAX_MEMBERS} fit",
                cure="revoke devices that are gone: pockethive members --revoke DEVICE",
            )

    @property
    def rank(self) -> tuple[int, bytes]:
        """Total order: the higher version is newer, the hash breaks ties."""
        return self.version, digest("member list", self.bodies[0])

    @cached_property
    def devices(self) -> frozenset[bytes]:
        """The keys of the devices on it."""
        return frozenset(member.device for member in self.members)

    @cached_property
    def bodies(self) -> tuple[bytes, ...]:
        """The head and its pages, canonical."""
        pages = [
            encode({"v": 1, "members": [_row(m) for m in self.members[at : at + PAGE]]})
            for at in range(0, len(self.members), PAGE)
        ]
        head = {
            "v": 1,
            "version": self.version,
            "generation": self.generation,
            "pages": [to_text(_page_digest(page)) for page in pages],
        }
        return encode(head), *pages

    def of(self, device: bytes) -> Listed | None:
        """The entry of a device."""
        return next((member for member in self.members if member.device == device), None)


def sign_list(
    founder: FounderKey, charter: Charter, listed: MemberList, until: int
) -> list[Record]:
    """The records that carry a list: the head first. `until` is their expiry, unix seconds."""
    return [
        sign_record(founder, KIND, charter.list_key, slot(number), until, body)
        for number, body in enumerate(listed.bodies)
    ]


def slot(number: int) -> bytes:
    """Where the head (0) or a page (1 to 64) of a list stands."""
    return HEAD if number == 0 else b"%02x" % (number - 1)


def check_record(charter: Charter, record: Record) -> None:
    """What a node asks before it stores a part of the list; the signature is verified elsewhere.

    Raises:
        BadEncoding: another key or slot, or neither a head nor a page.
        BadSignature: by another author than the hive.
    """
    if record.author != charter.public:
        raise BadSignature("a member list by another key than the hive's", where="foreign")
    if record.kind != KIND or record.key != charter.list_key:
        raise BadEncoding("a member list under a foreign key", where="foreign")
    if record.slot == HEAD:
        _read_head(record.body)
    elif record.slot in _SLOTS:
        _read_page(record.body)
    else:
        raise BadEncoding("no such place on a member list", where="shape")


def newest(charter: Charter, records: Iterable[Record]) -> MemberList | None:
    """The newest version of which all records are here, in whatever order they came.

    Expiry does not matter: a device that was away keeps the list it had. Records that are not a
    part of this hive's list are passed over.
    """
    heads: set[bytes] = set()
    pages: dict[bytes, bytes] = {}
    for record in records:
        try:
            check_record(charter, record)
            record.verify()
        except (BadEncoding, BadSignature):
            continue
        if record.slot == HEAD:
            heads.add(record.body)
        else:
            pages[_page_digest(record.body)] = record.body
    found = [whole for head in heads if (whole := _assembled(head, pages)) is not None]
    return max(found, key=lambda one: one.rank, default=None)


def changed(current: MemberList | None, generation: int, members: Iterable[Listed]) -> MemberList:
    """The next version, with these members in whatever order."""
    version = 1 if current is None else current.version + 1
    return MemberList(version, generation, tuple(sorted(members, key=lambda one: one.device)))


def check_name(name: object) -> str:
    """A name for people: 1 to 32 printable characters. Raises BadEncoding."""
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= MAX_NAME
        or not name.isprintable()
        or name.strip() != name
    ):
        raise BadEncoding(
            f"{str(name)[:80]!r} is no name", cure=f"use 1 to {MAX_NAME} printable characters"
        )
    if len(name.encode()) > MAX_NAME_BYTES:
        raise BadEncoding(f"a name of more than {MAX_NAME_BYTES} bytes")
    return name


_SLOTS: Final = frozenset(slot(number) for number in range(1, MAX_PAGES + 1))


def _page_digest(body: bytes) -> bytes:
    return digest("member page", body)


def _assembled(head: bytes, pages: dict[bytes, bytes]) -> MemberList | None:
    version, generation, names = _read_head(head)
    if any(name not in pages for name in names):
        return None
    try:
        members = tuple(member for name in names for member in _read_page(pages[name]))
        whole = MemberList(version, generation, members)
    except (BadEncoding, BadSignature):
        return None
    return whole if whole.bodies[0] == head else None  # pages cut at other places


def _row(member: Listed) -> list[object]:
    return [
        to_text(member.owner),
        member.owner_name,
        to_text(member.device),
        member.device_name,
        to_text(member.certificate),
        member.since,
        to_text(member.sealed),
    ]


def _read_head(body: bytes) -> tuple[int, int, list[bytes]]:
    value = decode_object(body, MAX_BODY)
    if value.keys() != {"v", "version", "generation", "pages"} or not _is_one(value["v"]):
        raise BadEncoding("not the head of a member list of version 1", where="shape")
    pages = value["pages"]
    if not isinstance(pages, list) or len(pages) > MAX_PAGES:
        raise BadEncoding("a list without its pages, or with too many", where="shape")
    return (
        _whole(value["version"], _MAX_VERSION),
        _whole(value["generation"], MAX_GENERATION),
        [_bytes(page, 32) for page in pages],
    )


def _read_page(body: bytes) -> list[Listed]:
    value = decode_object(body, MAX_BODY)
    if value.keys() != {"v", "members"} or not _is_one(value["v"]):
        raise BadEncoding("not a page of a member list of version 1", where="shape")
    rows = value["members"]
    if not isinstance(rows, list) or not 0 < len(rows) <= PAGE:
        raise BadEncoding("a page without members, or with too many", where="shape")
    return [_read_row(row) for row in rows]


def _read_row(row: object) -> Listed:
    if not isinstance(row, list) or len(row) != 7:
        raise BadEncoding("a member that has not seven parts", where="shape")
    return Listed(
        owner=_bytes(row[0], PUBLIC_SIZE),
        owner_name=check_name(row[1]),
        device=_bytes(row[2], PUBLIC_SIZE),
        device_name=check_name(row[3]),
        certificate=_bytes(row[4], SIGNATURE_SIZE),
        since=row[5],
        sealed=_bytes(row[6], SEALED_SIZE),
    )


def _bytes(text: object, size: int) -> bytes:
    if not isinstance(text, str):
        raise BadEncoding("bytes that are not text", where="shape")
    return from_text(text, size)


def _whole(value: object, most: int) -> int:
    if type(value) is not int or not 0 < value <= most:
        raise BadEncoding("a number out of range on a member list", where="shape")
    return value


def _is_one(value: Any) -> bool:
    return value == 1 and value is not True
