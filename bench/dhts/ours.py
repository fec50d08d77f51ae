"""PocketHive's nodes: sealed datagrams, signed records, a read asks all k holders and merges."""

import os
import sys
import time

from bench.dhts.child import VALUE, serve
from pockethive.core.canonical import digest
from pockethive.dht import identity as identities
from pockethive.dht.identity import Identity
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.record import sign_record
from pockethive.dht.rules import NOTE, OpenRules


class _Amnesia(identities._Seen):  # noqa: SLF001 - see below
    """All nodes share this process: what one has verified must not spare another the work."""

    def get(self, key: bytes) -> bool | None:
        """Nothing is known."""
        return None


class Ours:
    """Nodes of this package, in memory like the others."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._nodes: list[Node] = []

    async def build(self, count: int) -> None:
        for _ in range(count):
            identity = Identity.from_seed(os.urandom(32))
            node = Node(NodeSettings(k=self._k), identity, OpenRules())
            await node.start()
            if self._nodes:
                await node.join([self._nodes[len(self._nodes) // 2].contact])
            self._nodes.append(node)

    async def set(self, node: int, key: str) -> None:
        own = self._nodes[node]
        expires = int(time.time()) + 600
        record = sign_record(own.identity, NOTE, _key(key), b"", expires, VALUE)
        assert await own.put(record) >= min(self._k, len(self._nodes)) // 2

    async def get(self, node: int, key: str) -> None:
        records = await self._nodes[node].get(_key(key))
        assert [record.body for record in records] == [VALUE]

    async def close(self) -> None:
        for node in self._nodes:
            await node.stop()


def _key(text: str) -> bytes:
    return digest("bench", text.encode())[:20]


if __name__ == "__main__":
    identities._SEEN = _Amnesia()  # noqa: SLF001
    serve(Ours(int(sys.argv[3])))
