"""Attributes that most objects never need: made when somebody first looks.

Guards: whoever looks cannot tell. A run holds thousands of tasks, and most of what the ledger can
know of one (votes, verdicts, holders) is of tasks that go a longer way than theirs.
"""

from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")
_MAKE = "made at first sight by"


def seldom(make: Callable[[], T]) -> T:
    """A field of a slotted dataclass that derives from `Seldom`; `make` makes its first value."""
    made: T = field(init=False, metadata={_MAKE: make})
    return made


class Seldom:
    """Base of dataclasses with such fields."""

    __slots__ = ()

    if not TYPE_CHECKING:  # which would then believe in every name

        def __getattr__(self, name: str) -> Any:
            """Called for what is not there."""
            known = type(self).__dict__.get("__dataclass_fields__", {}).get(name)
            if known is None or _MAKE not in known.metadata:
                raise AttributeError(f"{type(self).__name__} has no {name}", name=name, obj=self)
            made = known.metadata[_MAKE]()
            object.__setattr__(self, name, made)
            return made
