"""Reading untrusted objects field by field: every field typed and bounded, none unknown.

Rule guarded here: a decoder never passes on a value of another type or size than it promised.
"""

from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar

from pockethive.core.canonical import decode_object, from_text
from pockethive.core.errors import BadEncoding
from pockethive.core.task import DeviceId, RunId, TaskId

VERSION = 1
NAME = 64  # characters of names: tasks, roles, skills, checkers
REASON = 200  # bytes of a reason
MAX_EPOCH = 2**31
MAX_TIME = 2**40

E = TypeVar("E", bound=Enum)
_HEX = frozenset("0123456789abcdef")


def clip(text: str, limit: int = REASON) -> str:
    """`text` cut to at most `limit` bytes of UTF-8, at a character."""
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


class Fields:
    """One object's fields; each is taken once and `done` refuses what is left.

    All methods raise BadEncoding.
    """

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise BadEncoding(f"{what}: expected an object, found {type(value).__name__}")
        self._left: dict[str, Any] = dict(value)
        self._what = what
        self.version = VERSION

    def __contains__(self, name: str) -> bool:
        """Whether a field that may be left out is there."""
        return name in self._left

    @classmethod
    def read(cls, data: bytes, limit: int, what: str, latest: int = VERSION) -> "Fields":
        """Fields of canonical bytes whose version `v` is one known here, `latest` at most."""
        fields = cls(decode_object(data, limit), what)
        version = fields.take("v")
        if type(version) is not int or not VERSION <= version <= latest:  # true equals 1
            raise BadEncoding(f"{what}: not of version {latest}")
        fields.version = version
        return fields

    def take(self, name: str) -> Any:
        """The field as it is."""
        if name not in self._left:
            raise BadEncoding(f"{self._what}: {name} is missing")
        return self._left.pop(name)

    def done(self) -> None:
        """Refuse fields nobody took."""
        if self._left:
            raise BadEncoding(f"{self._what}: unknown {', '.join(sorted(self._left))[:80]}")

    def text(self, name: str, limit: int = NAME, least: int = 0) -> str:
        """Text of `least` to `limit` bytes."""
        return self._text(name, self.take(name), least, limit)

    def texts(self, name: str, most: int, limit: int = NAME) -> tuple[str, ...]:
        """A list of at most `most` texts of 1 to `limit` bytes each."""
        return tuple(self._text(name, item, 1, limit) for item in self.items(name, most))

    def whole(self, name: str, least: int = 0, most: int = MAX_EPOCH) -> int:
        """An integer within bounds."""
        value = self.take(name)
        if type(value) is not int or not least <= value <= most:
            raise BadEncoding(f"{self._what}: {name} is no integer from {least} to {most}")
        return value

    def maybe(self, name: str, most: int) -> int:
        """An integer from 1 on; 0 where the field is left out: what is usual costs no bytes."""
        return self.whole(name, 1, most) if name in self._left else 0

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.take(name)
        if type(value) is not bool:
            raise BadEncoding(f"{self._what}: {name} is neither true nor false")
        return value

    def items(self, name: str, most: int) -> list[Any]:
        """A list of at most `most` values."""
        value = self.take(name)
        if not isinstance(value, list) or len(value) > most:
            raise BadEncoding(f"{self._what}: {name} is no list of at most {most}")
        return value

    def pairs(self, name: str, most: int) -> list[tuple[str, str]]:
        """A list of pairs of texts."""
        found = []
        for item in self.items(name, most):
            if not isinstance(item, list) or len(item) != 2:
                raise BadEncoding(f"{self._what}: {name} holds something that is no pair")
            first, second = item
            found.append((self._text(name, first, 1, 200), self._text(name, second, 1, 200)))
        return found

    def one_of(self, name: str, kind: type[E]) -> E:
        """A member of an enumeration, by value."""
        value = self.take(name)
        for member in kind:
            if member.value == value:
                return member
        raise BadEncoding(f"{self._what}: {str(value)[:40]!r} is no {name}")

    def sha(self, name: str, *, empty: bool = False) -> str:
        """A SHA-256 in hex; `empty` allows an empty text."""
        value = self.text(name)
        if empty and not value:
            return value
        return sha(value, self._what)

    def key(self, name: str, size: int = 32, *, empty: bool = False) -> str:
        """`size` bytes as base64url; `empty` allows an empty text."""
        value = self.text(name, 200)
        return value if empty and not value else key(value, size)

    def device(self, name: str) -> DeviceId:
        """A device's public key."""
        return DeviceId(self.key(name))

    def devices(self, name: str, most: int) -> tuple[DeviceId, ...]:
        """A list of devices."""
        return tuple(DeviceId(key(item)) for item in self.texts(name, most))

    def task(self, name: str) -> TaskId:
        """A task id: run, name and a piece of the spec's hash."""
        return TaskId(task_text(self.text(name, 128), self._what))

    def run(self, name: str) -> RunId:
        """A run id."""
        return RunId(hexadecimal(self.text(name), 32, self._what))

    def _text(self, name: str, value: object, least: int, most: int) -> str:
        if not isinstance(value, str) or not least <= len(value.encode()) <= most:
            raise BadEncoding(f"{self._what}: {name} is no text of {least} to {most} bytes")
        return value


@lru_cache(maxsize=4_096)
def key(text: str, size: int = 32) -> str:
    """`text` when it is base64url of `size` bytes, else BadEncoding. The same keys come all day."""
    from_text(text, size)
    return text


def sha(text: str, what: str) -> str:
    """`text` when it is a SHA-256 in hex, else BadEncoding."""
    return hexadecimal(text, 64, what)


def hexadecimal(text: str, digits: int, what: str) -> str:
    """`text` when it is lower-case hex of that many digits, else BadEncoding."""
    if len(text) != digits or not _HEX.issuperset(text):
        raise BadEncoding(f"{what}: {text[:80]!r} is not {digits} hex digits")
    return text


def task_text(text: str, what: str) -> str:
    """`text` when it has the form of a task id, else BadEncoding."""
    parts = text.split("/")
    if len(parts) != 3 or not 1 <= len(parts[1]) <= NAME:
        raise BadEncoding(f"{what}: {text[:80]!r} is no task id")
    hexadecimal(parts[0], 32, what)
    hexadecimal(parts[2], 16, what)
    return text


def distinct(values: Iterable[object], what: str) -> None:
    """Refuse repetitions."""
    seen = list(values)
    if len(set(seen)) != len(seen):
        raise BadEncoding(f"{what}: a repetition")
