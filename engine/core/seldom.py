"""Attributes that most objects never need: made when somebody first looks.

Guards: whoever looks cannot tell. A run holds thousands of tasks, and most of what the ledger can
know of one (votes, verdicts, holders) is of tasks that go a longer way than theirs.
"""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class HasRare(Protocol):
    """An object with such attributes."""

    rare: dict[str, Any] | None
    """What was made of them, by name; None at first."""


class Seldom(Generic[T]):
    """An attribute of a slotted class; no field of its dataclass. `make` makes its first value."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make, self._name = make, ""

    def __set_name__(self, _kind: type, name: str) -> None:
        self._name = name

    def __get__(self, thing: HasRare, _kind: type | None = None) -> T:
        rare = thing.rare
        if rare is None:
            rare = thing.rare = {}
        if self._name not in rare:
            rare[self._name] = self._make()
        found: T = rare[self._name]
        return found

    def __set__(self, thing: HasRare, value: T) -> None:
        if thing.rare is None:
            thing.rare = {}
        thing.rare[self._name] = value
