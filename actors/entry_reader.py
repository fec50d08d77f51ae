"""What others have said of a task: entries from the DHT, or from what this device itself keeps.

Guards: what does not open is dropped with a line in the log, never believed and never fatal.
"""

import logging
from collections.abc import Iterable

from pockethive.actors.entries import Entries
from pockethive.core.entry import Entry
from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.core.task import TaskId, task_key
from pockethive.dht.node import Node
from pockethive.dht.record import Record

_log = logging.getLogger(__name__)


class EntryReader:
    """On the node's loop."""

    def __init__(self, node: Node, entries: Entries) -> None:
        self._node, self._entries = node, entries

    def held(self, task: TaskId) -> tuple[Entry, ...]:
        """What this device itself keeps of a task."""
        return self._opened(self._node.spreading.held(task_key(task)), task)

    async def at(self, key: bytes, what: str, nearest: int | None = None) -> tuple[Entry, ...]:
        """What stands in the DHT under a key, as `Node.get`; nothing where nobody answers."""
        try:
            records = await self._node.get(key, nearest=nearest)
        except NetworkError as error:
            _log.info("the entries of %s could not be read: %s", what, error)
            return ()
        return self._opened(records, what)

    def _opened(self, records: Iterable[Record], what: str) -> tuple[Entry, ...]:
        found = []
        for record in records:
            try:
                found.append(self._entries.opened(record))
            except ProtocolError as error:
                _log.warning("an entry of %s was dropped: %s", what, error)
        return tuple(found)
