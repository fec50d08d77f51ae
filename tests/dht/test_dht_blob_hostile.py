"""Hostile bytes on both ends of a blob connection: one counted drop, and service as before."""

import asyncio
import contextlib
import hashlib
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht import blob_wire, tls_client, tls_server
from pockethive.dht.blobs import EVERYONE
from pockethive.dht.carrier import HEAD, REFUSED, Kind, Reply
from pockethive.dht.certificate import certificate_pem
from pockethive.dht.chunks import CHUNK, MAX_MANIFEST
from pockethive.dht.contact import Contact
from pockethive.dht.testing import hive, somebody
from pockethive.dht.tls import TlsCarrier
from pockethive.dht.tls_client import dial

ANNA, BERT = somebody("anna"), somebody("bert")
DATA = b"the same bytes everywhere"
NAME = hashlib.sha256(DATA).hexdigest()
NONCE = bytes(32)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def answer(peer: bytes, name: str, index: int) -> Reply:
    return Reply(Kind.WHOLE, DATA) if (name, index) == (NAME, HEAD) else REFUSED


@contextlib.asynccontextmanager
async def server() -> AsyncIterator[tuple[TlsCarrier, Contact]]:
    """A real blob server that must not let anything reach the loop."""
    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    carrier = TlsCarrier(ANNA)
    await carrier.listen(Contact(ANNA.public, "127.0.0.1", 0), answer)
    assert carrier.server is not None
    try:
        yield carrier, Contact(ANNA.public, "127.0.0.1", carrier.server.port)
    finally:
        await carrier.close()
        assert not carrier.server.serving
    assert failures == []


@contextlib.asynccontextmanager
async def hostile_server(
    script: Script, tmp_path_factory: pytest.TempPathFactory
) -> "AsyncIterator[Contact]":
    """A server with Anna's key that follows a script, once TLS has come about."""
    pem = tmp_path_factory.mktemp("pem") / "anna.pem"
    pem.write_bytes(certificate_pem(ANNA))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    running: list[asyncio.Event] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.append(ended := asyncio.Event())
        with contextlib.suppress(OSError, EOFError):
            await script(reader, writer)
        writer.transport.abort()
        ended.set()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield Contact(ANNA.public, "127.0.0.1", listening.sockets[0].getsockname()[1])
    finally:
        listening.close()
        await asyncio.gather(*(ended.wait() for ended in running))


async def open_tls(contact: Contact) -> Streams:
    return await asyncio.open_connection(contact.host, contact.port, ssl=tls_client._CLIENT)


async def authenticated(contact: Contact) -> Streams:
    """A client that has proved its key and may now say anything."""
    reader, writer = await open_tls(contact)
    nonce = (await reader.readexactly(blob_wire.GREETING_SIZE))[4:]
    proof = BERT.sign(blob_wire.challenge(nonce, ANNA.public, BERT.public))
    writer.write(BERT.public + proof)
    return reader, writer


async def greeted(writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> None:
    """The server's part of a proper beginning."""
    writer.write(blob_wire.MAGIC + NONCE)
    await reader.readexactly(blob_wire.PROOF_SIZE)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - it is the code under test that changes
            await asyncio.sleep(0)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@settings(max_examples=25, deadline=None)
@given(noise=st.binary(max_size=300))
def test_noise_instead_of_a_proof_is_one_counted_drop(noise: bytes) -> None:
    async def story() -> None:
        async with server() as (carrier, contact):
            _, writer = await open_tls(contact)
            writer.write(noise)
            await close(writer)
            await until(lambda: carrier.counters.total() == 1)
            assert set(carrier.counters) <= {"blob-proof", "blob-handshake"}
            assert (await carrier.ask(contact, NAME, HEAD)).data == DATA
            assert carrier.counters.total() == 1

    asyncio.run(story())


@settings(max_examples=25, deadline=None)
@given(noise=st.binary(max_size=300))
def test_noise_instead_of_requests_is_refused_and_half_a_request_counted(noise: bytes) -> None:
    async def story() -> None:
        async with server() as (carrier, contact):
            reader, writer = await authenticated(contact)
            writer.write(noise)
            whole, part = divmod(len(noise), blob_wire.REQUEST.size)
            answers = await reader.readexactly(5 * whole)
            assert answers == bytes((Kind.REFUSED, 0, 0, 0, 0)) * whole
            await close(writer)
            assert carrier.server is not None
            serving = carrier.server.serving
            await until(lambda: not serving)
            assert carrier.counters == Counter({"blob-frame": 1} if part else {})
            assert (await carrier.ask(contact, NAME, HEAD)).data == DATA

    asyncio.run(story())


HEADS = st.tuples(st.integers(0, 5), st.integers(0, 2**32 - 1)).map(
    lambda head: struct.pack(">BI", *head)
)


@settings(max_examples=25, deadline=None)
@given(noise=st.one_of(st.binary(max_size=200), st.builds(bytes.__add__, HEADS, st.binary())))
def test_a_client_fed_with_noise_raises_what_it_says_and_stays_usable(
    noise: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greeted(writer, reader)
        await reader.readexactly(blob_wire.REQUEST.size)
        writer.write(noise)
        await close(writer)

    async def story() -> None:
        failures: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: failures.append(context)
        )
        carrier = TlsCarrier(BERT)
        async with hostile_server(script, tmp_path_factory) as hostile:
            try:
                reply = await carrier.ask(hostile, NAME, HEAD)
                assert len(reply.data) <= max(CHUNK, MAX_MANIFEST)
            except (NetworkError, ProtocolError):
                carrier.hang_up(hostile)
        async with server() as (_, contact):
            assert (await carrier.ask(contact, NAME, HEAD)).data == DATA
        await carrier.close()
        assert failures == []

    asyncio.run(story())


@pytest.mark.parametrize(
    "head",
    [
        struct.pack(">BI", Kind.WHOLE, CHUNK + 1),
        struct.pack(">BI", Kind.MANIFEST, MAX_MANIFEST + 1),
        struct.pack(">BI", Kind.CHUNK, 5),  # nobody asked for a chunk
        struct.pack(">BI", Kind.REFUSED, 5),
        struct.pack(">BI", 9, 0),
    ],
)
async def test_a_frame_out_of_bounds_is_counted_once_and_the_next_holder_asked(
    head: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greeted(writer, reader)
        await reader.readexactly(blob_wire.REQUEST.size)
        writer.write(head + bytes(2000))
        await reader.read()

    async with (
        hive(None) as (node,),
        hostile_server(script, tmp_path_factory) as hostile,
        server() as (_, contact),
    ):
        assert await node.fetch_from([hostile, contact], NAME) == DATA
        assert node.counters["blob-frame"] == 1


async def test_a_bad_frame_that_comes_with_the_end_of_the_connection_reaches_no_loop(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Behind good ones: asyncio's TLS then reads the bad one while it sees to the end."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greeted(writer, reader)
        await reader.readexactly(4 * blob_wire.REQUEST.size)
        writer.write(2 * struct.pack(">BI", Kind.REFUSED, 0) + struct.pack(">BI", 9, 0))

    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with hostile_server(script, tmp_path_factory) as hostile:
        link = await dial(BERT, hostile)
        asked = (link.ask(NAME, HEAD) for _ in range(4))
        first, second, third, fourth = await asyncio.gather(*asked, return_exceptions=True)
        assert first == second == REFUSED
        assert isinstance(third, ProtocolError)
        assert isinstance(fourth, NetworkError)
        await until(lambda: link._transport is not None and link._transport.is_closing())
    assert failures == []


async def test_an_answer_that_nobody_asked_for_ends_the_connection(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greeted(writer, reader)
        writer.write(struct.pack(">BI", Kind.WHOLE, 5) + b"early")
        await reader.read()

    async with hostile_server(script, tmp_path_factory) as hostile:
        link = await dial(BERT, hostile)
        await until(lambda: link.ended)
        with pytest.raises(NetworkError, match="it has ended"):
            await link.ask(NAME, HEAD)


async def test_a_server_of_another_protocol_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"PHB1" + NONCE)
        await reader.read()

    async with hostile_server(script, tmp_path_factory) as hostile:
        with pytest.raises(ProtocolError, match="not a blob server of this version"):
            await dial(BERT, hostile)


async def test_silent_and_dripping_servers_are_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    drips = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greeted(writer, reader)
        await reader.read()

    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal drips
        await greeted(writer, reader)
        writer.write(struct.pack(">BI", Kind.WHOLE, 1000))
        while not reader.at_eof():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await reader.read()
            drips += 1
            writer.write(b"x")

    monkeypatch.setattr(tls_client, "_STALL", 0.2)
    monkeypatch.setattr(tls_client, "_SLOWEST", 0.5)
    for script in (silent, dripping):
        async with hostile_server(script, tmp_path_factory) as hostile:
            carrier = TlsCarrier(BERT)
            with pytest.raises(NetworkError, match="too slow"):
                await carrier.ask(hostile, NAME, HEAD)
            await carrier.close()
    assert drips > 2


async def test_those_who_never_speak_are_ended_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_server, "_HANDSHAKE", 0.2)
    monkeypatch.setattr(tls_server, "_IDLE", 0.2)
    async with server() as (carrier, contact):
        reader, writer = await asyncio.open_connection(contact.host, contact.port)
        assert await reader.read() == b"", "TLS never began"
        await close(writer)
        reader, writer = await open_tls(contact)
        await reader.readexactly(blob_wire.GREETING_SIZE)
        assert await reader.read() == b"", "no proof came"
        await close(writer)
        reader, writer = await authenticated(contact)
        assert await reader.read() == b"", "nothing was asked"
        await close(writer)
        assert carrier.counters == {"blob-handshake": 2}


async def test_one_peer_or_address_cannot_take_all_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tls_server, "MAX_UNPROVED", 3)
    monkeypatch.setattr(tls_server, "MAX_OF_PEER", 2)
    async with server() as (carrier, contact):
        mute = [await asyncio.open_connection(contact.host, contact.port) for _ in range(4)]
        await until(lambda: carrier.counters["blob-busy"] == 1)
        for _, writer in mute:
            await close(writer)
        assert carrier.server is not None
        serving = carrier.server.serving
        await until(lambda: not serving)
        links = [await dial(BERT, contact) for _ in range(3)]
        await until(lambda: any(link.ended for link in links))
        assert [link.ended for link in links].count(True) == 1
        assert carrier.counters["blob-busy"] == 2
        for link in links:
            link.close()


async def test_more_connections_than_are_served_wait_for_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tls_server, "MAX_CONNECTIONS", 2)
    async with server() as (_, contact):
        first, second = [await dial(somebody(name), contact) for name in ("one", "two")]
        third = asyncio.create_task(dial(somebody("three"), contact))
        done, _ = await asyncio.wait([third], timeout=0.1)
        assert not done
        first.close()
        link = await third
        assert (await link.ask(NAME, HEAD)).data == DATA
        link.close()
        second.close()


async def test_asking_for_chunks_that_a_blob_has_not_fills_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with hive(None) as (node,):
        name = node.blobs.put(DATA, EVERYONE)
        for index in (1, 2**31, HEAD - 1):
            assert node._exchanging.answer(BERT.public, name, index) == REFUSED
        assert node._exchanging.answer(BERT.public, name, 0) == Reply(Kind.CHUNK, DATA)
    assert caplog.text == ""
