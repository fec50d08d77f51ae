"""Devices, clocks and weather of a history: who is cut off, asleep, down or wrong, and when.

Times are true time, in seconds, which no device knows. Everything is drawn once from the seed.
"""

import hmac
import random
from dataclasses import dataclass
from hashlib import sha256

from pockethive.core.canonical import decode_object, digest, encode, from_text, to_text
from pockethive.core.entry import Body, Entry, Kind
from pockethive.core.entry_codec import decode_body, encode_body, kind_of
from pockethive.core.errors import BadSignature
from pockethive.core.task import DeviceId

STORMS = ((0.0, 80.0), (130.0, 210.0))
END = 280.0
"""Between and after the storms nothing fails, and every task has to come to its end."""

_KEY = b"nobody in a history has this key"


def device(name: str) -> DeviceId:
    """A device of that name."""
    return DeviceId(to_text(sha256(name.encode()).digest()))


OWNER, CHECKER = device("owner"), device("checker")
WITNESSES = tuple(device(f"witness {number}") for number in range(10))
CONTENDERS = tuple(device(f"contender {number}") for number in range(5))
NAMES = (OWNER, CHECKER, *WITNESSES, *CONTENDERS)


def sign(author: DeviceId, message: bytes) -> bytes:
    """A keyed hash that stands for a signature."""
    return hmac.digest(_KEY + author.encode(), message, "sha512")


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `sign` made it."""
    return hmac.compare_digest(sign(DeviceId(to_text(public)), message), signature)


def signed(author: DeviceId, body: Body) -> Entry:
    """An entry; its wire is what `opened` reads."""
    kind, data = kind_of(body), encode_body(body)
    said = digest("record", author.encode(), kind.value.encode(), data)
    parts = {"author": author, "kind": kind.value, "body": to_text(data)}
    wire = encode({**parts, "signature": to_text(sign(author, said))})
    return Entry(kind=kind, author=author, expires=0, body=body, digest=said.hex(), wire=wire)


def opened(wire: bytes) -> Entry:
    """The entry behind its signed bytes. Raises BadSignature."""
    value = decode_object(wire, 8_192)
    author, kind, data = DeviceId(value["author"]), Kind(value["kind"]), from_text(value["body"])
    said = digest("record", author.encode(), kind.value.encode(), data)
    if not verify(from_text(author, 32), said, from_text(value["signature"], 64)):
        raise BadSignature("an entry of a history")
    body = decode_body(kind, data)
    return Entry(kind=kind, author=author, expires=0, body=body, digest=said.hex(), wire=wire)


@dataclass(frozen=True, slots=True)
class Clock:
    """A device's clock: it runs `rate` times as fast as it should, and began at `offset`."""

    rate: float
    offset: float

    def local(self, true: float) -> float:
        """What it shows."""
        return self.offset + true * self.rate

    def true(self, local: float) -> float:
        """When it shows that."""
        return (local - self.offset) / self.rate


def _rate(dice: random.Random, name: DeviceId | None = None) -> float:
    """Within five per cent; of a named device at the end where it does most harm."""
    if name is not None:
        return 1.05 if name in WITNESSES else 0.95
    return dice.uniform(0.95, 1.05)


class Weather:
    """When what is out of order."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.loss = dice.choice((0.0, 0.05, 0.1, 0.2))
        worst = dice.random() < 0.5  # those who hold leases are slow, those who grant them fast
        self.clocks = {
            name: Clock(_rate(dice, name) if worst else _rate(dice), dice.uniform(0, 1e4))
            for name in NAMES
        }
        self._cuts: list[tuple[float, float, frozenset[DeviceId]]] = []
        self._sleeps: dict[DeviceId, list[tuple[float, float]]] = {name: [] for name in NAMES}
        self._downs: dict[DeviceId, list[tuple[float, float]]] = {name: [] for name in NAMES}
        splits, naps, restarts = (dice.random() < 0.7 for _ in range(3))
        for begin, end in STORMS:
            for since, until in self._spells(begin, end, most=40, pause=20) if splits else ():
                share = dice.choice((0.1, 0.2, 0.5))
                side = frozenset(name for name in NAMES if dice.random() < share)
                self._cuts.append((since, until, side))
            for name in NAMES:
                if naps:
                    self._sleeps[name] += self._spells(begin, end, most=30, pause=80)
                if restarts:
                    self._downs[name] += self._spells(begin, end, most=15, pause=80)

    def _spells(
        self, begin: float, end: float, *, most: float, pause: float
    ) -> list[tuple[float, float]]:
        found, at = [], begin + self._dice.uniform(0, pause)
        while at < end:
            until = min(end, at + self._dice.uniform(0.5, most))
            found.append((at, until))
            at = until + self._dice.uniform(0.5, pause)
        return found

    def stormy(self, at: float) -> bool:
        """Whether anything may fail."""
        return any(begin <= at < end for begin, end in STORMS)

    def calm(self, at: float) -> float:
        """When nothing fails any more: now, or at the end of the storm."""
        return next((end for begin, end in STORMS if begin <= at < end), at)

    def arrives(self, one: DeviceId, other: DeviceId, at: float) -> bool:
        """Whether a message that is sent now arrives."""
        if self.stormy(at) and self._dice.random() < self.loss:
            return False
        return not any(a <= at < b and (one in s) != (other in s) for a, b, s in self._cuts)

    def delay(self, at: float) -> float:
        """How long a message takes; in a storm a few come very late."""
        late = self.stormy(at) and self._dice.random() < 0.02
        return self._dice.uniform(1, 20) if late else self._dice.uniform(0.005, 0.1)

    def down(self, name: DeviceId, at: float) -> bool:
        """Whether a device is not running."""
        return any(a <= at < b for a, b in self._downs[name])

    def booted(self, name: DeviceId, at: float) -> float:
        """Since when it has been running, or was when it went down."""
        return max((b for _, b in self._downs[name] if b <= at), default=-1e3)

    def awake(self, name: DeviceId, at: float) -> float:
        """When a device sees what reaches it at `at`."""
        return next((b for a, b in self._sleeps[name] if a <= at < b), at)
