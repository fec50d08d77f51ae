"""kademlia as its package has it: k=20, values unsigned, the first answer is believed."""

from kademlia.network import Server

from bench.dhts.child import VALUE, serve


class Stock:
    """Nodes of the kademlia package."""

    def __init__(self) -> None:
        self._nodes: list[Server] = []

    async def build(self, count: int) -> None:
        for _ in range(count):
            node = Server()
            await node.listen(0, "127.0.0.1")
            if self._nodes:
                await node.bootstrap([self._address(len(self._nodes) // 2)])
            self._nodes.append(node)

    async def set(self, node: int, key: str) -> None:
        assert await self._nodes[node].set(key, VALUE)

    async def get(self, node: int, key: str) -> None:
        assert await self._nodes[node].get(key) == VALUE

    async def close(self) -> None:
        for node in self._nodes:
            node.stop()

    def _address(self, number: int) -> tuple[str, int]:
        address: tuple[str, int] = self._nodes[number].transport.get_extra_info("sockname")
        return address


if __name__ == "__main__":
    serve(Stock())
