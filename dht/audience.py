"""Who may fetch a blob.

Guards: an audience only grows by adding audiences together; nobody is in it by default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pockethive.core.errors import StorageError

Allow = Callable[[bytes, str], bool]
"""`(peer's public key, blob name) -> may have it`."""

MAX_DEVICES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who may fetch a blob: everyone, or these devices (public keys)."""

    public: bool = False
    devices: frozenset[bytes] = frozenset()

    def check(self) -> None:
        """Raises StorageError: more devices than `MAX_DEVICES`."""
        if len(self.devices) > MAX_DEVICES:
            raise StorageError(f"an audience has at most {MAX_DEVICES} devices")

    def __contains__(self, peer: bytes) -> bool:
        return self.public or peer in self.devices

    def __or__(self, other: "Audience") -> "Audience":
        return Audience(public=self.public or other.public, devices=self.devices | other.devices)


EVERYONE: Final = Audience(public=True)
NOBODY: Final = Audience()
