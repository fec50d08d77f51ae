"""Answers kept for a while, so that a request that is sent again does not run again.

Guards: bounded in number and bytes, whatever peers ask.
"""

from collections import OrderedDict
from typing import Final

_MOST: Final = 1024
_MOST_BYTES: Final = 2 * 2**20


class Answers:
    """By the asker's key and the message's id; None while the answer is still being made."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[bytes, int], bytes | None] = OrderedDict()
        self._bytes = 0

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def get(self, name: tuple[bytes, int]) -> bytes | None:
        return self._kept.get(name)

    def keep(self, name: tuple[bytes, int], payload: bytes | None) -> None:
        self._bytes += len(payload or b"") - len(self._kept.get(name) or b"")
        self._kept[name] = payload
        while len(self._kept) > _MOST or self._bytes > _MOST_BYTES:
            _, old = self._kept.popitem(last=False)
            self._bytes -= len(old or b"")
