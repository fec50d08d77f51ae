"""Who spoke to this node a moment ago, also those for whom its table has no room.

A table holds k contacts of each distance, so that a search in a large network begins far from its
target. A device that has just spoken with many others knows many more: its searches begin with the
nearest of them. Guards: only proven addresses, bounded; whoever was silent is out. It adds to where
a search begins and takes nothing away, so who talks much to a node hides nobody from it.
"""

import heapq
from collections import OrderedDict
from typing import Final

from pockethive.dht.contact import Contact

FRESH: Final = 60.0  # seconds: who was heard so lately lives in all likelihood
MOST: Final = 1024  # contacts


class Recent:
    """Of one node. Belongs to the loop's thread; times are the loop's."""

    def __init__(self) -> None:
        self._heard: OrderedDict[bytes, tuple[float, int, Contact]] = OrderedDict()  # oldest first

    def note(self, contact: Contact, number: int, now: float) -> None:
        """Somebody who takes part in the DHT was heard at a proven address; its id as a number."""
        self._heard[contact.public] = now, number, contact
        self._heard.move_to_end(contact.public)
        if len(self._heard) > MOST:
            self._heard.popitem(last=False)

    def forget(self, public: bytes) -> None:
        """It was silent, or only asks, or has no place here."""
        self._heard.pop(public, None)

    def contact(self, public: bytes, now: float) -> Contact | None:
        """Where a device was heard, if it is fresh."""
        heard, _, contact = self._heard.get(public, (now, 0, None))
        return contact if heard >= now - FRESH else None

    def nearest(self, target: int, count: int, now: float) -> list[Contact]:
        """The nearest to a target of those that are fresh, nearest first."""
        while self._heard and next(iter(self._heard.values()))[0] < now - FRESH:
            self._heard.popitem(last=False)
        near = heapq.nsmallest(count, self._heard.values(), key=lambda each: each[1] ^ target)
        return [contact for _, _, contact in near]
