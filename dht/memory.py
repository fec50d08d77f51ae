"""A bounded memory of what bytes mean, so that one form is not read twice.

Rule guarded here: it changes nothing but time. What is remembered under bytes is what reading them
would give; the oldest is forgotten first.
"""

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Memory(Generic[T]):
    """Values by the bytes that spell them, at most `kept` of them. Safe on any thread."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._values: OrderedDict[bytes, T] = OrderedDict()
        self._lock = Lock()

    def get(self, data: bytes) -> T | None:
        """What these bytes spell; None when that was not read or is forgotten."""
        return self._values.get(data)

    def put(self, data: bytes, value: T) -> None:
        """Remember what these bytes spell."""
        with self._lock:
            self._values[data] = value
            if len(self._values) > self._kept:
                self._values.popitem(last=False)
