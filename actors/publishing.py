"""How this device's entries get into the DHT: signed, then to their holders, alone or with others.

Rules guarded here: a commit, a task and whatever a run rests on is said to stand once its holders
have answered. Outputs and verdicts go to the owner and to witnesses in letters, and a commit brings
them along; nobody waits for the DHT to have them, too. In a large hive, where their holders would
have to be searched for, their makers do so only when no such commit has come in a while.
"""

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from pockethive.actors.acquainted import Acquainted
from pockethive.actors.egress import Egress
from pockethive.actors.entries import Entries
from pockethive.actors.patience import Patience
from pockethive.core.canonical import to_text
from pockethive.core.effects import Publish, Spare
from pockethive.core.entry import Body, Entry, Kind, Output, Verdict
from pockethive.core.task import DeviceId, TaskId
from pockethive.dht.node import Node
from pockethive.dht.record import Record

_SHOWN = frozenset((Kind.OUTPUT, Kind.VERDICT))
_REMEMBERED = 1_024  # outputs about which something may still wait


class Publishing:
    """Of one device. On the node's loop."""

    def __init__(self, node: Node, egress: Egress, entries: Entries, known: Acquainted) -> None:
        self._node, self._egress, self._entries, self._known = node, egress, entries, known
        self._put_off: OrderedDict[tuple[TaskId, str], list[bytes]] = OrderedDict()

    async def publish(self, effect: Publish, patience: Patience) -> Entry:
        """The entry, once it stands or need not be waited for. Raises as `Node.put`."""
        record, entry = self._entries.sign(effect.kind, effect.body, effect.expires)
        if effect.kind in _SHOWN and self._egress.spread_soon(record):
            self._note(effect.body, record.digest)
            return entry
        copies = await patience.retried(self._way(effect, record))
        others = self._node.contacts()
        if copies > len(others):
            for contact in others:
                self._known.note(DeviceId(to_text(contact.public)), entry)
        return entry

    def spare(self, effect: Spare) -> None:
        """The task's commit stands, with what was shown about its output: nothing has to wait."""
        self._node.spreading.spare(self._put_off.pop((effect.task, effect.output), ()))

    def _way(self, effect: Publish, record: Record) -> Callable[[], Coroutine[Any, Any, int]]:
        egress = self._egress
        if effect.kind is Kind.COMMIT:
            beside = [Record.decode(entry.wire) for entry in effect.beside]
            return partial(egress.spread_beside, record, beside)
        together = effect.kind is Kind.TASK or effect.kind in _SHOWN
        return partial(egress.spread if together else egress.publish, record)

    def _note(self, body: Body, digest: bytes) -> None:
        assert isinstance(body, Output | Verdict)
        self._put_off.setdefault((body.task, body.output), []).append(digest)
        if len(self._put_off) > _REMEMBERED:
            self._put_off.popitem(last=False)
