"""The private names of kademlia 2.2.3 and rpcudp 5.0.1 that our subclasses lean on."""

import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from kademlia.network import Server
from kademlia.node import Node as KademliaNode
from kademlia.protocol import KademliaProtocol
from kademlia.routing import KBucket, RoutingTable
from kademlia.storage import IStorage
from rpcudp.protocol import RPCProtocol

from pockethive.dht.protocol import HiveProtocol
from pockethive.dht.routing import Bucket, XorRoutingTable
from pockethive.dht.server import HiveServer
from pockethive.dht.store import RecordStore


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_versions_are_those_we_read() -> None:
    assert version("kademlia") == "2.2.3"
    assert version("rpcudp") == "5.0.1"


def test_we_subclass_the_four_classes() -> None:
    assert issubclass(HiveServer, Server)
    assert issubclass(HiveProtocol, KademliaProtocol)
    assert issubclass(XorRoutingTable, RoutingTable)
    assert issubclass(RecordStore, IStorage)
    assert issubclass(Bucket, KBucket)


def test_the_server_still_has_the_hooks_we_fill() -> None:
    assert parameters(Server.__init__) == ["self", "ksize", "alpha", "node_id", "storage"]
    assert parameters(Server.listen) == ["self", "port", "interface"]
    source = inspect.getsource(Server.listen)
    assert "self._create_protocol" in source
    assert "self.refresh_table()" in source
    assert "self.transport, self.protocol" in source


def test_a_storage_without_a_length_is_kept() -> None:
    """`storage or ForgetfulStorage()` drops a storage that is falsy."""
    assert not hasattr(RecordStore, "__len__")
    assert not hasattr(RecordStore, "__bool__")


def test_the_protocol_still_has_the_names_we_replace() -> None:
    assert parameters(KademliaProtocol.__init__) == ["self", "source_node", "storage", "ksize"]
    assert "_outstanding" in vars(RPCProtocol())
    for name in ("connection_made", "datagram_received", "__getattr__"):
        assert name in vars(RPCProtocol), name


def test_buckets_still_have_the_parts_we_use() -> None:
    bucket = KBucket(0, 7, 2)
    assert bucket.range == (0, 7)
    assert len(bucket.nodes) == len(bucket.replacement_nodes) == 0
    assert parameters(KBucket.__init__)[:4] == ["self", "rangeLower", "rangeUpper", "ksize"]
    assert "self.flush()" in inspect.getsource(RoutingTable.__init__)
    assert parameters(RoutingTable.split_bucket) == ["self", "index"]


def test_a_node_is_its_id_address_and_number() -> None:
    node = KademliaNode(b"\0" * 19 + b"\5", "127.0.0.1", 1)
    assert (node.id, node.ip, node.port, node.long_id) == (b"\0" * 19 + b"\5", "127.0.0.1", 1, 5)
