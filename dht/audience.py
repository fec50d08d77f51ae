"""Who may fetch a blob.

Guards: an audience only grows by adding audiences together; nobody is in it by default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

Allow = Callable[[bytes, str], bool]
"""`(peer's public key, blob name) -> may have it`."""

MAX_DEVICES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who may fetch a blob: everyone, or these devices (public keys)."""

    public: bool = False
    devices: frozenset[bytes] = frozenset()

    def __contains__(self, peer: bytes) -> bool:
        return self.public or peer in self.devices

    def __or__(self, other: "Audience") -> "Audience":
        return Audience(public=self.public or other.public, devices=self.devices | other.devices)


EVERYONE: Final = Audience(public=True)
NOBODY: Final = Audience()
