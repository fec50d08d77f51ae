"""Helpers for tests of what is built on the DHT: identities by name, notes, small real hives.

Guards: nothing is mocked. These are the real classes with keys anyone can know: never use them
outside tests. For many nodes, time and lost datagrams, see `simulation.World`.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from pockethive.core.canonical import digest
from pockethive.dht.identity import Identity
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.record import Record, sign_record
from pockethive.dht.rules import NOTE, OpenRules

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
