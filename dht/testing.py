"""Helpers for tests of what is built on the DHT: identities by name, notes, small real hives.

Guards: nothing is mocked. These are the real classes with keys anyone can know: never use them
outside tests. For many nodes, time and lost datagrams, see `simulation.World`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from pockethive.core.canonical import digest
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity, node_id
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.record import Record, sign_record
from pockethive.dht.rules import NOTE, OpenRules
from pockethive.dht.simulation import Link, World

NOW = 1_800_000_000.0  # unix seconds, for stores and records on a clock of their own
RULES = OpenRules()


def somebody(name: str) -> Identity:
    """The same identity for the same name, always."""
    return Identity.from_seed(digest("test", name.encode()))


def key(name: str) -> bytes:
    """The same 20-byte key for the same name."""
    return digest("test-key", name.encode())[:20]


def note(
    author: Identity, body: bytes = b"hello", *, expires: float = NOW + 600, slot: bytes = b""
) -> Record:
    """A signed note under `key("place")`."""
    return sign_record(author, NOTE, key("place"), slot, int(expires), body)


@contextlib.asynccontextmanager
async def hive(*homes: Path | None) -> AsyncIterator[list[Node]]:
    """Real nodes on loopback, one for each home, all joined through the first."""
    async with contextlib.AsyncExitStack() as stack:
        nodes: list[Node] = []
        for number, home in enumerate(homes):
            node = Node(NodeSettings(home=home), somebody(f"device {number}"), RULES)
            nodes.append(await stack.enter_async_context(node))
            await node.join([nodes[0].contact])
        yield nodes


Story = Callable[[World, list[Node]], Awaitable[None]]


def play(
    story: Story,
    size: int,
    seed: int = 1,
    link: Link | None = None,
    settings: NodeSettings | None = None,
) -> str:
    """Run a story with `size` joined nodes on a virtual network; the trace's hash.

    Fails when an exception reaches the loop or a node leaves a task behind.
    """
    world = World(seed, link)
    failures: list[dict[str, object]] = []
    world.loop.set_exception_handler(lambda _, context: failures.append(context))

    async def whole() -> None:
        async with contextlib.AsyncExitStack() as stack:
            nodes = [world.node(RULES, settings) for _ in range(size)]
            for node in nodes:
                await stack.enter_async_context(node)
            for node in nodes[1:]:
                await node.join([nodes[0].contact])
            await story(world, nodes)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a node left a task behind"

    try:
        world.run(whole())
    finally:
        world.close()
    assert failures == [], "an exception reached the loop"
    return world.trace


def signed(world: World, node: Node, where: str, body: bytes, life: float = 600) -> Record:
    """A node's note under `key(where)` that lives so many virtual seconds."""
    return sign_record(node.identity, NOTE, key(where), b"", int(world.clock() + life), body)


def nearest(nodes: list[Node], target: bytes, count: int) -> list[Contact]:
    """The contacts of the nodes that are nearest to a 20-byte target, by brute force."""

    def distance(node: Node) -> int:
        own = int.from_bytes(node_id(node.identity.public), "big")
        return own ^ int.from_bytes(target, "big")

    return [node.contact for node in sorted(nodes, key=distance)[:count]]
