"""Which entries other devices have seen: what they have seen is named to them, not shown again.

Guards: a name is the digest of what its author signed, and whoever reads it takes the entry that it
has verified itself; who does not know it refuses, and is shown the whole. What is remembered is
bounded, and forgetting costs a question, never an answer.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from threading import Lock

from pockethive.core.entry import Entry
from pockethive.core.errors import ProtocolError
from pockethive.core.lease_codec import OpenEntry, Spell, by_name, whole
from pockethive.core.task import DeviceId
from pockethive.dht.memory import Memory

UNSEEN = "names an entry that was not seen here"
"""What a device says of a name that it does not know; travels as the reason of a refusal."""

_DEVICES = 64
_REMEMBERED = 1_000  # entries of each; half of what a device remembers by name


class Acquainted:
    """Of one device. Safe on any thread."""

    def __init__(self) -> None:
        self._seen: OrderedDict[DeviceId, Memory[bool]] = OrderedDict()
        self._lock = Lock()

    def has_seen(self, device: DeviceId, entry: Entry) -> bool:
        """Whether a device has seen an entry, as far as is known here."""
        seen = self._seen.get(device)
        return seen is not None and seen.get(entry.digest.encode()) is not None

    def note(self, device: DeviceId, entry: Entry) -> None:
        """A device has seen an entry: it showed it, or said that it holds it."""
        with self._lock:
            seen = self._seen.get(device)
            if seen is None:
                seen = self._seen[device] = Memory(_REMEMBERED)
                if len(self._seen) > _DEVICES:
                    self._seen.popitem(last=False)
        seen.put(entry.digest.encode(), True)  # noqa: FBT003 - a mark

    def forget(self, device: DeviceId) -> None:
        """A device knows less than was thought: it was started again, or forgot."""
        with self._lock:
            self._seen.pop(device, None)

    def hearing(self, device: DeviceId, open_entry: OpenEntry) -> OpenEntry:
        """`open_entry` for what a device says: it has seen whatever is in it."""

        def opened(wire: bytes) -> Entry:
            entry = open_entry(wire)
            self.note(device, entry)
            return entry

        return opened

    async def say(
        self,
        device: DeviceId,
        spelled: Callable[[Spell], bytes],
        tell: Callable[[bytes], Awaitable[bytes]],
    ) -> bytes:
        """Tell a device something and return its answer. Raises what `tell` raises."""
        named: list[Entry] = []
        shown: list[Entry] = []

        def spell(entry: Entry) -> str:
            known = self.has_seen(device, entry)
            (named if known else shown).append(entry)
            return by_name(entry) if known else whole(entry)

        try:
            answer = await tell(spelled(spell))
        except ProtocolError as error:
            if not named or UNSEEN not in str(error):
                raise
            self.forget(device)
            answer = await tell(spelled(whole))
            shown += named
        for entry in shown:
            self.note(device, entry)
        return answer
