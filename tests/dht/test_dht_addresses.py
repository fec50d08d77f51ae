"""IPv4 and IPv6 with real sockets: one for both, one for each, links with a scope."""

import contextlib
import socket
from pathlib import Path

import pytest

from pockethive.dht.blobs import EVERYONE
from pockethive.dht.contact import Contact
from pockethive.dht.node import Node
from pockethive.dht.record import sign_record
from pockethive.dht.rules import NOTE
from pockethive.dht.settings import NodeSettings
from pockethive.dht.testing import RULES, key, somebody
from pockethive.dht.wire import is_address


def has_six() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def link_local() -> tuple[str, int] | None:
    """An address of this machine on one link, and the link's number."""
    table = Path("/proc/net/if_inet6")
    for line in table.read_text().splitlines() if table.exists() else ():
        digits, number, *_ = line.split()
        if digits.startswith("fe80"):
            packed = bytes.fromhex(digits)
            return socket.inet_ntop(socket.AF_INET6, packed), int(number, 16)
    return None


pytestmark = pytest.mark.skipif(not has_six(), reason="this system has no IPv6")


def node(name: str, host: str, advertise: str | None = None) -> Node:
    return Node(NodeSettings(listen=(host, 0), advertise=advertise), somebody(name), RULES)


async def test_a_node_on_all_addresses_speaks_with_nodes_of_either_family() -> None:
    async with (
        node("both", "::", "::1") as both,
        node("four", "127.0.0.1") as four,
        node("six", "::1") as six,
    ):
        port, public = both.contact.port, both.identity.public
        as_four = Contact(public, "127.0.0.1", port)
        assert await four.join([as_four]) == await six.join([both.contact]) == 1
        assert set(both.contacts()) == {four.contact, six.contact}
        assert four.contacts() == (as_four,)
        assert six.contacts() == (both.contact,)
        both.serve("echo", lambda peer, body: body)
        for other in (four, six):
            other.serve("echo", lambda peer, body: body)
            assert await other.request(public, "echo", b"there") == b"there"
            assert await both.request(other.identity.public, "echo", b"back") == b"back"
        expires = int(both.settings.clock()) + 60
        record = sign_record(both.identity, NOTE, key("k"), b"", expires, b"for all")
        assert await both.put(record) == 3
        assert await four.get(record.key) == await six.get(record.key) == (record,)
        # nobody tries to send where his socket cannot
        assert [dict(each.counters) for each in (both, four, six)] == [{}, {}, {}]


async def test_a_node_on_all_addresses_serves_blobs_to_nodes_of_either_family() -> None:
    async with (
        node("both", "::", "::1") as both,
        node("four", "127.0.0.1") as four,
        node("six", "::1") as six,
    ):
        port, public = both.contact.port, both.identity.public
        data = bytes(range(256)) * 8192  # two chunks
        name = both.blobs.put(data, EVERYONE)
        for other, host in ((four, "127.0.0.1"), (six, "::1")):
            assert await other.fetch(name, [Contact(public, host, port)]) == len(data)
            assert other.blobs.get(name) == data
            held = other.blobs.put(host.encode(), EVERYONE)  # and the other way round
            assert await both.fetch_from([other.contact], held) == host.encode()


async def test_a_link_local_contact_keeps_its_link() -> None:
    found = link_local()
    if found is None:
        pytest.skip("no interface has a link-local address")
    host, link = found
    async with node("one", "::") as one, node("two", "::") as two:
        there = Contact(one.identity.public, f"{host}%{link}", one.contact.port)
        assert Contact.parse(str(there)) == there
        assert is_address(there.host)
        assert await two.join([there]) == 1
        assert two.contacts() == (there,)
        (seen,) = one.contacts()
        assert seen.public == two.identity.public
        assert seen.host.endswith(f"%{link}")


async def test_a_name_becomes_an_address_of_the_family_that_the_socket_has() -> None:
    async with node("four", "127.0.0.1") as four, node("other", "127.0.0.1") as other:
        named = Contact(other.identity.public, "localhost", other.contact.port)
        assert await four._running.resolved(named) == other.contact
        assert await four.join([named]) == 1
