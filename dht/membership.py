"""Who belongs right now: the newest list, and the devices that listed devices vouch for.

A home runs more devices than the one on the list: those that a run starts beside it. The listed
device vouches for them with its signature; they belong as long as it does, so that revoking one
device revokes everything that its home starts. News is what two members tell each other of list
and vouchers. Guards: an older list is never taken back; vouchers are bounded, and those of a device
that left the list count for nothing.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pockethive.core.canonical import decode_object, digest, encode, from_text, to_text
from pockethive.core.errors import BadEncoding
from pockethive.dht.charter import Charter
from pockethive.dht.identity import PUBLIC_SIZE, SIGNATURE_SIZE, Identity, verify
from pockethive.dht.member_list import MAX_SLOTS, MemberList

MAX_VOUCHED: Final = 256  # devices of one home at a time; the oldest voucher makes room
MAX_NEWS: Final = 6_000
MAX_TOLD: Final = 24  # vouchers in one message

_MAX_VERSION: Final = 2**53


@dataclass(frozen=True, slots=True)
class Voucher:
    """A listed device's word that another device is of its home."""

    sponsor: bytes
    device: bytes
    signature: bytes

    def holds(self, hive: bytes) -> bool:
        """Whether the sponsor signed it for this hive. Never raises."""
        return verify(self.sponsor, _vouched(hive, self.sponsor, self.device), self.signature)


def vouch(sponsor: Identity, device: bytes, hive: bytes) -> Voucher:
    """The sponsor's voucher for a device of its home; `hive` is the charter's id."""
    return Voucher(sponsor.public, device, sponsor.sign(_vouched(hive, sponsor.public, device)))


class Membership:
    """What one device knows of who belongs. Any thread."""

    def __init__(self, charter: Charter, current: MemberList | None = None) -> None:
        self.charter = charter
        self._list = current
        self._devices = frozenset[bytes]() if current is None else current.devices
        self._vouched: OrderedDict[bytes, OrderedDict[bytes, Voucher]] = OrderedDict()
        self._sponsors: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    @property
    def list(self) -> MemberList | None:
        """The newest list that was taken."""
        return self._list

    @property
    def version(self) -> int:
        """Of the newest list; 0 before there is one."""
        return 0 if self._list is None else self._list.version

    def is_member(self, public: bytes) -> bool:
        """Whether a device is listed, or a listed one vouches for it."""
        return public in self._devices or self._sponsors.get(public) in self._devices

    def is_listed(self, public: bytes) -> bool:
        """Whether a device is on the list itself."""
        return public in self._devices

    def take(self, offered: MemberList) -> bool:
        """Use a list if it is newer than the one in use; True when it now is."""
        with self._lock:
            if self._list is not None and offered.rank <= self._list.rank:
                return False
            self._list, self._devices = offered, offered.devices
            for sponsor in [one for one in self._vouched if one not in self._devices]:
                for device in self._vouched.pop(sponsor):
                    self._sponsors.pop(device, None)
            return True

    def believe(self, voucher: Voucher) -> bool:
        """Take a voucher of a listed device; True when it says something new."""
        if not self.is_listed(voucher.sponsor) or self.is_listed(voucher.device):
            return False
        if self._sponsors.get(voucher.device) == voucher.sponsor:
            return False
        if not voucher.holds(self.charter.id):
            return False
        with self._lock:
            of_home = self._vouched.setdefault(voucher.sponsor, OrderedDict())
            of_home[voucher.device] = voucher
            self._sponsors[voucher.device] = voucher.sponsor
            if len(of_home) > MAX_VOUCHED:
                oldest, _ = of_home.popitem(last=False)
                self._sponsors.pop(oldest, None)
        return True

    def vouchers(self) -> tuple[Voucher, ...]:
        """Those that hold now, the newest last."""
        with self._lock:
            return tuple(one for home in self._vouched.values() for one in home.values())


@dataclass(frozen=True, slots=True)
class News:
    """What a member says of the hive: its list's version, its records, vouchers it knows."""

    version: int
    pages: int  # records that carry the list, the head among them
    vouchers: tuple[Voucher, ...] = ()

    def encode(self) -> bytes:
        """Canonical bytes; of many vouchers the last `MAX_TOLD`."""
        told = self.vouchers[-MAX_TOLD:]
        return encode(
            {"v": 1, "version": self.version, "pages": self.pages, "vouchers": _rows(told)}
        )

    @classmethod
    def decode(cls, data: bytes) -> "News":
        """The news behind `encode`. Raises BadEncoding."""
        value = decode_object(data, MAX_NEWS)
        if value.keys() != {"v", "version", "pages", "vouchers"} or value["v"] is True:
            raise BadEncoding("not news of a hive", where="shape")
        version, pages = value["version"], value["pages"]
        if value["v"] != 1 or type(version) is not int or type(pages) is not int:
            raise BadEncoding("not news of version 1", where="shape")
        if not 0 <= version < _MAX_VERSION or not 0 <= pages <= MAX_SLOTS:
            raise BadEncoding("news with a number out of range", where="shape")
        return cls(version, pages, read_vouchers(value["vouchers"]))


def read_vouchers(rows: object) -> tuple[Voucher, ...]:
    """Vouchers as they stand in messages, signatures not verified. Raises BadEncoding."""
    if not isinstance(rows, list) or len(rows) > MAX_TOLD:
        raise BadEncoding("no list of vouchers, or too many", where="shape")
    read = []
    for row in rows:
        if not isinstance(row, list) or len(row) != 3 or not all(isinstance(x, str) for x in row):
            raise BadEncoding("a voucher that has not three parts", where="shape")
        sponsor, device = from_text(row[0], PUBLIC_SIZE), from_text(row[1], PUBLIC_SIZE)
        read.append(Voucher(sponsor, device, from_text(row[2], SIGNATURE_SIZE)))
    return tuple(read)


def _rows(vouchers: Iterable[Voucher]) -> list[list[str]]:
    return [[to_text(v.sponsor), to_text(v.device), to_text(v.signature)] for v in vouchers]


def _vouched(hive: bytes, sponsor: bytes, device: bytes) -> bytes:
    return digest("device vouches for device", hive, sponsor, device)
