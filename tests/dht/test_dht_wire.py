"""Messages inside datagrams: round trips, bounds, fragments, round-trip times."""

import contextlib
import random
import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.dht import wire
from pockethive.dht.contact import Contact
from pockethive.dht.reasons import Counts
from pockethive.dht.rtt import FIRST, LONGEST, SHORTEST, RoundTrips
from pockethive.dht.seal import MAX_DATAGRAM, MAX_PLAIN, Sealer
from pockethive.dht.testing import NOW, Line, somebody
from pockethive.dht.transport import Message, SealedTransport, dialled, normal

ANNA, BERT = somebody("anna"), somebody("bert")
HOSTS = st.sampled_from(["10.1.2.3", "127.0.0.1", "::1", "fe80::1%2", "2001:db8::7"])
CONTACTS = st.builds(Contact, st.binary(min_size=32, max_size=32), HOSTS, st.integers(1, 65535))


def ends() -> tuple[Line, SealedTransport, SealedTransport]:
    line = Line()
    rng = random.Random(1)
    sealers = [Sealer(one, lambda: NOW, rng.randbytes) for one in (ANNA, BERT)]
    sender, receiver = (
        SealedTransport(w, s, Counts()) for w, s in zip((line, Line()), sealers, strict=True)
    )
    return line, sender, receiver


def message(payload: bytes, ident: int = 7) -> Message:
    return Message(BERT.public, ("10.0.0.2", 1), wire.REQUEST, ident, payload)


@given(st.lists(CONTACTS, max_size=8))
def test_contacts_read_what_they_write(contacts: list[Contact]) -> None:
    assert wire.unpack_contacts(wire.pack_contacts(contacts), 8, scope="2") == contacts


def test_a_link_local_contact_is_left_out_where_nobody_knows_its_link() -> None:
    """A scope is one machine's number of a link; what came over the same link shares it."""
    packed = wire.pack_contacts([Contact(ANNA.public, "fe80::1%2", 5)])
    assert wire.unpack_contacts(packed, 8) == []
    assert wire.unpack_contacts(packed, 8, scope="7") == [Contact(ANNA.public, "fe80::1%7", 5)]


@given(st.binary(max_size=400))
def test_noise_is_contacts_one_can_send_to_or_a_protocol_error(data: bytes) -> None:
    try:
        contacts = wire.unpack_contacts(data, 8)
    except ProtocolError:
        return
    assert len(contacts) <= 8
    for contact in contacts:
        assert wire.is_address(contact.host)
        assert contact.port > 0


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "224.0.0.251", "255.255.255.255", "::", "ff02::fb", "::ffff:9.9.9.9"]
)
def test_contacts_that_nobody_should_be_sent_to_are_left_out(host: str) -> None:
    good = Contact(ANNA.public, "10.0.0.1", 5)
    bad = Contact(BERT.public, host, 5)
    assert wire.unpack_contacts(wire.pack_contacts([bad, good]), 8) == [good]


def test_more_contacts_than_asked_for_are_refused() -> None:
    many = wire.pack_contacts([Contact(ANNA.public, "10.0.0.1", 5)] * 9)
    with pytest.raises(BadEncoding):
        wire.unpack_contacts(many, 8)


@given(st.binary(max_size=300))
def test_reading_noise_raises_nothing_but_protocol_errors(data: bytes) -> None:
    for unpack in (wire.unpack_request, wire.unpack_reply):
        with contextlib.suppress(ProtocolError):
            unpack(data)


@given(st.integers(0, wire.MAX_PAYLOAD), st.randoms(use_true_random=False))
def test_messages_survive_fragments_in_any_order_sent_twice(
    size: int, shuffler: random.Random
) -> None:
    line, anna, bert = ends()
    payload = random.Random(size).randbytes(size)
    anna.send(message(payload))
    anna.send(message(payload))
    shuffler.shuffle(line.sent)
    got = [bert.receive(datagram, ("10.0.0.1", 1)) for datagram in line.sent]
    whole = [message for messages in got for message in messages]
    assert 1 <= len(whole) <= 2
    assert {each.payload for each in whole} == {payload}
    assert {each.public for each in whole} == {ANNA.public}
    assert max(map(len, line.sent)) <= MAX_DATAGRAM
    assert len(line.sent) <= 2 * wire.MAX_FRAGMENTS


def test_a_message_over_eight_fragments_is_not_sent() -> None:
    with pytest.raises(BadEncoding):
        wire.pack_request("ask", [bytes(wire.MAX_PAYLOAD)])
    assert len(wire.pack_request("ask", ["m" * 32, bytes(wire.MAX_BODY)])) <= wire.MAX_PAYLOAD


def test_unfinished_messages_are_bounded_per_peer() -> None:
    line, anna, bert = ends()
    for ident in range(100):
        anna.send(message(bytes(5000), ident))
    first = [data for number, data in enumerate(line.sent) if number % 5 == 0]
    for datagram in first:
        assert bert.receive(datagram, ("10.0.0.1", 1)) == []
    assert [len(partials) for partials in bert._partials.values()] == [8]


PLAINS = st.lists(st.binary(min_size=wire.HEAD.size, max_size=MAX_PLAIN), min_size=1, max_size=30)


@given(PLAINS)
def test_bundles_read_what_they_write_in_order_and_fit_into_datagrams(plains: list[bytes]) -> None:
    plains = [bytes((wire.REQUEST,)) + plain[1:] for plain in plains]
    packed = wire.bundle(plains)
    assert max(map(len, packed)) <= MAX_PLAIN
    assert [item for plain in packed for item in wire.unbundle(plain)] == plains


@given(st.binary(max_size=200))
def test_noise_is_a_bundle_of_whole_messages_or_a_protocol_error(data: bytes) -> None:
    try:
        items = wire.unbundle(bytes((wire.BUNDLE,)) + data)
    except ProtocolError:
        return
    assert 2 <= len(items) <= wire.MAX_BUNDLE
    assert sum(2 + len(item) for item in items) == len(data)


def test_what_goes_to_one_device_in_one_round_shares_datagrams() -> None:
    line, _, bert = ends()
    rounds: list[Callable[[], None]] = []
    sealer = Sealer(ANNA, lambda: NOW, random.Random(2).randbytes)
    anna = SealedTransport(line, sealer, Counts(), rounds.append)
    sizes = [10, 20, 300, 400, 500, 3000, 5]
    for ident, size in enumerate(sizes):
        anna.send(message(bytes(size), ident))
    elsewhere = Message(somebody("carl").public, ("10.0.0.3", 1), wire.REQUEST, 9, b"for carl")
    anna.send(elsewhere)
    assert line.sent == []
    (flush,) = rounds
    flush()
    assert len(line.sent) == 6  # 8 messages, of which one alone has three fragments
    assert max(map(len, line.sent)) <= MAX_DATAGRAM
    got = [each for data in line.sent[:-1] for each in bert.receive(data, ("10.0.0.1", 1))]
    assert [(each.ident, len(each.payload)) for each in got] == list(enumerate(sizes))
    anna.send(elsewhere)
    assert len(rounds) == 2


def test_a_socket_for_both_families_speaks_of_ipv4_and_of_links_as_contacts_do() -> None:
    assert normal(("10.0.0.1", 5)) == ("10.0.0.1", 5)
    assert normal(("::ffff:10.0.0.1", 5, 0, 0)) == ("10.0.0.1", 5)
    assert normal(("2001:db8::1", 5, 0, 0)) == ("2001:db8::1", 5)
    assert normal(("fe80::1", 5, 0, 2)) == normal(("fe80::1%eth0", 5, 0, 2)) == ("fe80::1%2", 5)
    assert dialled(("10.0.0.1", 5), both=True) == ("::ffff:10.0.0.1", 5)
    assert dialled(("10.0.0.1", 5), both=False) == ("10.0.0.1", 5)
    assert dialled(("2001:db8::1", 5), both=True) == ("2001:db8::1", 5)
    assert dialled(("fe80::1%2", 5), both=True) == ("fe80::1", 5, 0, 2)
    assert dialled(("fe80::1%lo", 5), both=True)[3] == socket.if_nametoindex("lo")
    assert dialled(("fe80::1%nosuchlink", 5), both=True)[3] == 0


def test_waiting_adapts_to_the_peer_within_bounds() -> None:
    trips = RoundTrips()
    assert trips.timeout(b"new") == FIRST
    for _ in range(50):
        trips.sample(b"near", 0.001)
    assert trips.timeout(b"near") == SHORTEST
    for _ in range(50):
        trips.sample(b"far", 0.8)
    assert 0.8 < trips.timeout(b"far") < 1.0
    for _ in range(50):
        trips.sample(b"slow", 30.0)
    assert trips.timeout(b"slow") == LONGEST
    assert trips.timeout(b"another") == LONGEST  # the average of all, bounded
