"""Nodes whose insides tests look at: typed classes that do what those they replace do, and tell."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from pockethive.dht.contact import Contact
from pockethive.dht.methods import Methods
from pockethive.dht.node import Node
from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.seal import Sealer
from pockethive.dht.simulation import VirtualTransport


def end_of(node: Node) -> VirtualTransport:
    """Where a node of a `World` stands on the virtual network; its `address` may be changed."""
    inner = node._protocol.transport.inner
    assert isinstance(inner, VirtualTransport)
    return inner


class ToldCalls(HiveProtocol):
    """Tells `called` of each call before it is made."""

    called: Callable[[str, Contact], None]

    async def call(
        self,
        contact: Contact,
        method: str,
        *arguments: object,
        timeout: float | None = None,  # noqa: ASYNC109 - as in what it replaces
        tries: int = 2,
    ) -> Any:
        self.called(method, contact)
        return await super().call(contact, method, *arguments, timeout=timeout, tries=tries)


def tell_calls(node: Node, called: Callable[[str, Contact], None]) -> None:
    """From now on `called(method, contact)` hears of all that a node asks."""
    protocol = node._protocol
    protocol.__class__ = ToldCalls
    assert isinstance(protocol, ToldCalls)
    protocol.called = called


class CountedSealer(Sealer):
    """Counts the keys that it agrees on, which is what a datagram of a stranger costs."""

    agreed = 0

    def _key(self, public: bytes, salt: bytes, ends: bytes) -> bytes:
        self.agreed += 1
        return super()._key(public, salt, ends)


def count_agreements(node: Node) -> CountedSealer:
    """A node's sealer, which counts from now on."""
    sealer = node._protocol._sealer
    sealer.__class__ = CountedSealer
    assert isinstance(sealer, CountedSealer)
    return sealer


@contextmanager
def asked() -> Iterator[Counter[str]]:
    """Counts by method what nodes are asked for meanwhile."""
    found: Counter[str] = Counter()
    answer = Methods.answer

    def counted(self: Methods, asker: object, method: str, arguments: list[object]) -> object:
        found[method] += 1
        return answer(self, asker, method, arguments)  # type: ignore[arg-type]

    with patch.object(Methods, "answer", counted):
        yield found
