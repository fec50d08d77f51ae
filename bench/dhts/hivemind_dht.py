"""hivemind's DHT, a Go daemon beside each node. Runs in an environment that has hivemind."""

import os

os.environ.setdefault("HIVEMIND_LOGLEVEL", "ERROR")

from hivemind.dht.node import DHTNode
from hivemind.utils import get_dht_time

from bench.dhts.child import VALUE, serve


class Hivemind:
    """Nodes of hivemind, caches off so that a read asks."""

    def __init__(self) -> None:
        self._nodes: list[DHTNode] = []

    async def build(self, count: int) -> None:
        addresses: list[str] = []
        for _ in range(count):
            node = await DHTNode.create(
                initial_peers=addresses[len(addresses) // 2 :][:1],
                host_maddrs=["/ip4/127.0.0.1/tcp/0"],
                cache_locally=False,
                cache_on_store=False,
                use_relay=False,
                use_auto_relay=False,
                use_ipfs=False,
                wait_timeout=5,
            )
            addresses.append(str((await node.protocol.p2p.get_visible_maddrs())[0]))
            self._nodes.append(node)

    async def set(self, node: int, key: str) -> None:
        assert await self._nodes[node].store(key, VALUE, get_dht_time() + 600)

    async def get(self, node: int, key: str) -> None:
        found = await self._nodes[node].get(key, latest=True)
        assert found is not None
        assert found.value == VALUE

    async def close(self) -> None:
        for node in self._nodes:
            await node.shutdown()


if __name__ == "__main__":
    serve(Hivemind())
