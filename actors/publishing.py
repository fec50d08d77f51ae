"""How this device's entries get into the DHT: signed, then to their holders, alone or with others.

Rules guarded here: a commit, a task and whatever a run rests on is said to stand once its holders
have answered. Outputs and verdicts go to the owner and to witnesses in letters, and a commit brings
them along as evidence; nobody waits for the DHT to have them, too.
"""

from functools import partial

from pockethive.actors.acquainted import Acquainted
from pockethive.actors.egress import Egress
from pockethive.actors.entries import Entries
from pockethive.actors.patience import Patience
from pockethive.core.canonical import to_text
from pockethive.core.effects import Publish
from pockethive.core.entry import Entry, Kind
from pockethive.core.task import DeviceId
from pockethive.dht.node import Node

_SHOWN = frozenset((Kind.OUTPUT, Kind.VERDICT))
_SPREAD = frozenset((*_SHOWN, Kind.TASK, Kind.COMMIT))


class Publishing:
    """Of one device. On the node's loop."""

    def __init__(self, node: Node, egress: Egress, entries: Entries, known: Acquainted) -> None:
        self._node, self._egress, self._entries, self._known = node, egress, entries, known

    async def publish(self, effect: Publish, patience: Patience) -> Entry:
        """The entry, once it stands or need not be waited for. Raises as `Node.put`."""
        record, entry = self._entries.sign(effect.kind, effect.body, effect.expires)
        if effect.kind in _SHOWN and self._egress.spread_soon(record):
            return entry
        way = self._egress.spread if effect.kind in _SPREAD else self._egress.publish
        copies = await patience.retried(partial(way, record))
        others = self._node.contacts()
        if copies > len(others):
            for contact in others:
                self._known.note(DeviceId(to_text(contact.public)), entry)
        return entry
